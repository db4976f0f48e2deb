//! The page `/`: a visit counts one view and shows its number.

use rocket::fairing::AdHoc;
use rocket::futures::stream::{self, Stream};
use rocket::http::{ContentType, Header};
use rocket::response::stream::ByteStream;
use rocket::{Responder, State, get, head, routes};
use rocket_dyn_templates::Metadata;

use crate::database::Db;
use crate::drawing::{Drawings, Whole};
use crate::errors::Error;
use crate::methods;
use crate::page::Page;
use crate::views::{Uncounted, Views};
use crate::visit::{Speculative, Visit};

/// The name of this replica: its host name, which is the container's id in a cluster.
struct Replica(String);

#[get("/")]
async fn visit(
    visit: Result<Visit, Speculative>,
    views: &State<Views>,
    drawings: &State<Drawings>,
    db: &Db,
    templates: Metadata<'_>,
    replica: &State<Replica>,
) -> Result<Whole, Error> {
    let Visit = visit?;
    let usable = views.readiness().usable().await;
    let database = usable.map_err(Uncounted::NotReady)?;
    let number = views.count(Page::home()).await?;
    let drawing = drawings.newest(db, &database, &replica.0, &templates).await;
    Ok(drawing.ok_or(Error::NotDrawn)?.page(number))
}

/// What GET would answer, without its body; Rocket would otherwise run GET's handler, which counts.
#[head("/")]
fn preview() -> (ContentType, ByteStream<impl Stream<Item = &'static [u8]>>) {
    // A stream has no length: a Content-Length here would have to be that of the page.
    (ContentType::HTML, ByteStream(stream::empty()))
}

/// A file that the page names, and not in the page, so that its content policy can forbid everything else.
#[derive(Responder)]
struct File(&'static str, ContentType, Header<'static>);

impl File {
    fn new(content: &'static str, kind: ContentType) -> Self {
        Self(content, kind, Header::new("Cache-Control", "max-age=3600"))
    }
}

#[get("/style.css")]
fn style() -> File {
    File::new(include_str!("home/style.css"), ContentType::CSS)
}

#[get("/live.js")]
fn script() -> File {
    File::new(include_str!("home/live.js"), ContentType::JavaScript)
}

#[get("/icon.svg")]
fn icon() -> File {
    File::new(include_str!("home/icon.svg"), ContentType::SVG)
}

/// Serves the page.
pub fn stage() -> AdHoc {
    AdHoc::on_ignite("Home", |rocket| async {
        let replica = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        rocket
            .manage(Replica(replica))
            .manage(Drawings::default())
            .mount("/", routes![visit, preview, style, script, icon])
            .mount("/", methods::others("/", |_| methods::READ))
    })
}
