//! The folder for data that stays, and the lock in it. Both belong to us. If we are root, only the
//! folder of the data inside belongs to the server's user, and no other user can put a link in its
//! place.

use std::fs::{self, File, Permissions, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{self, Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, thread};

use rustix::fs::{Mode, OFlags};

use super::error::Error;
use super::user::User;

/// How long to wait for another run in the same checkout to stop.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// The folder for the checkout at `root`, which is made if need be.
pub(super) fn folder(root: &Path, user: User) -> Result<PathBuf, Error> {
    let place = place(root);
    let unusable = |cause| Error::StateFolder(place.clone(), cause);
    let path = path::absolute(&place).map_err(unusable)?;
    if user.other.is_some() {
        ensure_ours(&path)?;
    }
    fs::create_dir_all(&path).map_err(unusable)?;
    let real = path.canonicalize().map_err(unusable)?;
    if let Some((server, _)) = user.other {
        // Meanwhile others may have added to a folder with the sticky bit.
        ensure_ours(&path)?;
        ensure_ours(&real)?;
        take_back(&real, server)?;
    }
    // PostgreSQL keeps the path as one line of a file.
    match real.to_string_lossy().contains('\n') {
        true => Err(Error::LineBreak(real)),
        false => Ok(real),
    }
}

/// Where the data of the checkout at `root` stays. It is outside the checkout, because the server's
/// user may not be able to enter that when we are root.
fn place(root: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    root.hash(&mut hasher);
    let base = match (env::var_os("XDG_STATE_HOME"), env::var_os("HOME")) {
        (Some(folder), _) if !folder.is_empty() => folder.into(),
        (_, Some(home)) if !rustix::process::geteuid().is_root() => {
            Path::new(&home).join(".local/state")
        }
        _ => PathBuf::from("/var/lib"),
    };
    let named = |name: &str| {
        let name = format!("{name}-{:016x}", hasher.finish());
        base.join("pageviews").join(name)
    };
    let name = root.file_name().unwrap_or_default().to_string_lossy();
    // Older versions used the name as it is.
    let old = named(&name);
    if old.exists() {
        return old;
    }
    // People paste this path into a shell.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    named(&name.replace(|c| !is_plain(c), "_"))
}

/// Checks that only root can replace `folder`: each folder above it, as far as it exists, must be
/// one that only root can change. In one with the sticky bit, such as /tmp, others can only add.
fn ensure_ours(folder: &Path) -> Result<(), Error> {
    let above = folder.ancestors().skip(1);
    let real = above.clone().find_map(|above| above.canonicalize().ok());
    for above in above.chain(real.unwrap_or_default().ancestors()) {
        let Ok(found) = fs::symlink_metadata(above) else {
            continue;
        };
        // Only root is in the group of root.
        let others = if found.gid() == 0 { 0o002 } else { 0o022 };
        let others_may_write = found.mode() & others != 0 && found.mode() & 0o1000 == 0;
        if found.uid() != 0 || others_may_write && !found.is_symlink() {
            return Err(Error::OfOthers(above.into()));
        }
    }
    Ok(())
}

/// Makes `folder` root's own. Older versions gave it to the user `server`.
fn take_back(folder: &Path, server: u32) -> Result<(), Error> {
    let unusable = |cause| Error::Folder(folder.into(), cause);
    let owner = fs::metadata(folder).map_err(unusable)?.uid();
    if ![0, server].contains(&owner) {
        return Err(Error::OfOthers(folder.into()));
    }
    lchown(folder, Some(0), Some(0)).map_err(unusable)?;
    fs::set_permissions(folder, Permissions::from_mode(0o755)).map_err(unusable)
}

/// Locks `folder`. Waits for a run that is just stopping.
pub(super) fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    // The server's user may have left a link in a folder that it owned.
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|cause| Error::Folder(path, cause.into()))?;
    let lock = File::from(lock);
    let give_up = Instant::now() + LOCK_TIMEOUT;
    loop {
        match lock.try_lock() {
            // A blocking lock could not be given up, so this asks again and again.
            Err(TryLockError::WouldBlock) if Instant::now() < give_up => {
                thread::sleep(Duration::from_millis(50));
            }
            Err(cause) => return Err(Error::InUse(folder.into(), cause)),
            Ok(()) => return Ok(lock),
        }
    }
}
