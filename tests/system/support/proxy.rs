//! A TCP proxy in front of the server. It cuts connections at chosen moments of a batch, lets them
//! fall silent without an end, and answers that the disk is full.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rocket::tokio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// How many parameters the statement has that adds a batch. No other statement has as many.
const BATCH_PARAMETERS: u16 = 5;

/// The moment of a batch at which its connection is cut. A batch is one statement and one
/// transaction, so one packet asks for both the statement and its commit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    /// Before any of the packet was sent.
    Before,
    /// In the middle of the packet.
    Inside,
    /// After the packet was sent, while the server works.
    AfterSending,
    /// After the server has answered, before any of the answer is passed on.
    AfterCommit,
    /// In the middle of the answer.
    InsideAnswer,
}

impl Cut {
    pub const ALL: [Self; 5] = [
        Self::Before,
        Self::Inside,
        Self::AfterSending,
        Self::AfterCommit,
        Self::InsideAnswer,
    ];
}

/// What a full disk has no room for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Full {
    /// The rows of pages.
    Pages,
    /// Anything.
    Everything,
}

#[derive(Default)]
struct Orders {
    cut: Mutex<Option<Cut>>,
    cuts: AtomicUsize,
    full: Mutex<Option<Full>>,
    refusals: AtomicUsize,
    /// Connections that are older than the last change are silent.
    silence: watch::Sender<()>,
    /// How many packets of the client the next new connections pass on before they are silent.
    silent_after: Mutex<VecDeque<usize>>,
    /// Silent connections that the client has not closed.
    silent: AtomicUsize,
}

/// The proxy. It ends with the test's runtime.
pub struct Proxy {
    /// The URL of the database through the proxy.
    pub url: String,
    orders: Arc<Orders>,
}

impl Proxy {
    /// A proxy for the database at `url`, which is on a Unix socket.
    pub async fn to(url: &str) -> Self {
        let (front, back) = url.split_once("@localhost:5432").unwrap();
        let (path, options) = back.split_once("?host=").unwrap();
        let socket = format!("{}/.s.PGSQL.5432", options.split('&').next().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let orders = Arc::<Orders>::default();
        let shared = orders.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (orders, server) = (shared.clone(), UnixStream::connect(&socket).await);
                tokio::spawn(async move {
                    // An error ends the connection on both sides, as intended.
                    let _ = relay(client, server?, &orders).await;
                    std::io::Result::Ok(())
                });
            }
        });
        Self {
            url: format!("{front}@{address}{path}?sslmode=disable"),
            orders,
        }
    }

    /// Cuts the connection of the next batch. Returns how many connections were cut so far.
    pub fn arm(&self, cut: Cut) -> usize {
        *self.orders.cut.lock().unwrap() = Some(cut);
        self.cuts()
    }

    pub fn cuts(&self) -> usize {
        self.orders.cuts.load(Ordering::SeqCst)
    }

    /// From now on refuses what is `full` with PostgreSQL's error for a full disk.
    pub fn fill_disk(&self, full: Option<Full>) {
        *self.orders.full.lock().unwrap() = full;
    }

    /// From now on no byte passes over the connections that are open, and none of them ends.
    pub fn silence(&self) {
        self.orders.silence.send_replace(());
    }

    /// The next new connection is silent after this many packets of the client.
    pub fn silence_next_after(&self, packets: usize) {
        self.orders.silent_after.lock().unwrap().push_back(packets);
    }

    /// The second new connection from now is silent after this many packets of the client.
    pub fn silence_second_after(&self, packets: usize) {
        self.silence_next_after(usize::MAX);
        self.silence_next_after(packets);
    }

    /// How many silent connections the client still has open.
    pub fn silent(&self) -> usize {
        self.orders.silent.load(Ordering::SeqCst)
    }

    pub fn refusals(&self) -> usize {
        self.orders.refusals.load(Ordering::SeqCst)
    }
}

async fn relay(
    mut client: TcpStream,
    mut server: UnixStream,
    orders: &Orders,
) -> std::io::Result<()> {
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut silence = orders.silence.subscribe();
    let mut silent_after = orders.silent_after.lock().unwrap().pop_front();
    loop {
        if silent_after == Some(0) {
            return stay_silent(client, orders).await;
        }
        tokio::select! {
            // Silence comes first: whatever arrives after it must not pass.
            biased;
            _ = silence.changed() => silent_after = Some(0),
            read = client.read(&mut asked) => {
                let packet = &asked[..read?];
                if packet.is_empty() {
                    return Ok(());
                }
                silent_after = silent_after.map(|packets| packets - 1);
                let parameters = bound_parameters(packet);
                let is_batch = parameters == Some(BATCH_PARAMETERS);
                let refused = match *orders.full.lock().unwrap() {
                    Some(Full::Pages) => is_batch,
                    Some(Full::Everything) => parameters.is_some(),
                    None => false,
                };
                if refused {
                    orders.refusals.fetch_add(1, Ordering::SeqCst);
                    client.write_all(&disk_full()).await?;
                    continue;
                }
                let cut = if is_batch { orders.cut.lock().unwrap().take() } else { None };
                if cut.is_some() {
                    orders.cuts.fetch_add(1, Ordering::SeqCst);
                }
                match cut {
                    Some(Cut::Before) => return Ok(()),
                    Some(Cut::Inside) => return server.write_all(&packet[..packet.len() / 2]).await,
                    Some(Cut::AfterSending) => return server.write_all(packet).await,
                    Some(cut) => {
                        server.write_all(packet).await?;
                        let length = server.read(&mut answered).await?;
                        if cut == Cut::InsideAnswer {
                            client.write_all(&answered[..length / 2]).await?;
                        }
                        return Ok(());
                    }
                    None => server.write_all(packet).await?,
                }
            }
            read = server.read(&mut answered) => {
                let packet = &answered[..read?];
                if packet.is_empty() {
                    return Ok(());
                }
                client.write_all(packet).await?;
            }
        }
    }
}

/// How many parameters the packet binds to a statement that was prepared before, if it does.
fn bound_parameters(packet: &[u8]) -> Option<u16> {
    let mut fields = packet.strip_prefix(b"B")?.get(4..)?;
    // The names of the portal and the statement.
    for _ in 0..2 {
        let end = fields.iter().position(|byte| *byte == 0)?;
        fields = &fields[end + 1..];
    }
    let formats = usize::from(u16::from_be_bytes(*fields.first_chunk()?));
    Some(u16::from_be_bytes(
        *fields.get(2 + 2 * formats..)?.first_chunk()?,
    ))
}

/// Passes nothing on until the client closes the connection.
async fn stay_silent(mut client: TcpStream, orders: &Orders) -> std::io::Result<()> {
    orders.silent.fetch_add(1, Ordering::SeqCst);
    let end = tokio::io::copy(&mut client, &mut tokio::io::sink()).await;
    orders.silent.fetch_sub(1, Ordering::SeqCst);
    end.map(|_| ())
}

/// The server's messages ErrorResponse and ReadyForQuery.
fn disk_full() -> Vec<u8> {
    let fields = b"SERROR\0VERROR\0C53100\0Mcould not extend file: No space left on device\0\0";
    let mut answer = vec![b'E'];
    answer.extend_from_slice(&(fields.len() as u32 + 4).to_be_bytes());
    answer.extend_from_slice(fields);
    answer.extend_from_slice(&[b'Z', 0, 0, 0, 5, b'I']);
    answer
}
