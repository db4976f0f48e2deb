//! The networks between the nodes, as Docker reads the files of the stack.

use std::process::Command;

/// What `up.sh` hands over by default. A kernel without ESP could not start it.
#[test]
#[ignore = "needs root and Docker's programs"]
fn with_encryption_the_inner_networks_still_lead_nowhere() {
    for database in ["postgres", "patroni"] {
        let mut config = Command::new("docker");
        config.args(["stack", "config"]);
        for file in ["stack", database, "encrypted"] {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/swarm");
            config.args(["--compose-file", &format!("{folder}/{file}.yml")]);
        }
        let config = config.output().unwrap();
        assert!(config.status.success(), "{config:?}");
        let config = String::from_utf8(config.stdout).unwrap();
        let (_, networks) = config.split_once("\nnetworks:\n").unwrap();
        // All but `outside`.
        for property in ["internal: true\n", "encrypted: \"\"\n"] {
            assert_eq!(networks.matches(property).count(), 3, "{networks}");
        }
    }
}
