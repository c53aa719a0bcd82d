//! A small HTTP/1.1 server that gives prescribed answers, good or bad. Each connection serves one request.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

/// The server's answer to one request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The requested content, with ranges.
    Whole,
    /// The whole content with status 200, even if a range was requested.
    WholeIgnoringRange,
    /// The whole content, ended by closing the connection.
    WithoutLength,
    /// As `Whole`, but the connection closes after this many bytes of the body.
    CutAfter(usize),
    /// The same without a `Content-Length`, so that the cut looks like an end.
    CutWithoutLength(usize),
    /// As `Whole`, but nothing comes after this many bytes of the body until the client hangs up.
    StallAfter(usize),
    /// Nothing at all until the client hangs up.
    StallBeforeHeaders,
    /// As `Whole`, with other bytes.
    Lie,
    /// One byte too many, announced in the length.
    Longer,
    /// One byte too many, without a length.
    LongerWithoutLength,
    /// One byte too few, announced in the length.
    Shorter,
    /// A range that starts one byte later than requested.
    WrongRange,
    /// A status without content, and a `Retry-After` in seconds.
    Status(u16, Option<u64>),
    /// A redirect to another place.
    Redirect(String),
    /// A redirect to the same place.
    RedirectToSelf,
}

pub struct Server {
    address: SocketAddr,
    ranges: Arc<Mutex<Vec<Option<String>>>>,
    is_stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `content` on a free port: the first request gets the first of `answers`, and so on; all further requests get the last one.
    pub fn start(content: Vec<u8>, answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let is_stopping = Arc::new(AtomicBool::new(false));
        let (seen, stopping) = (ranges.clone(), is_stopping.clone());
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::SeqCst) {
                    return;
                }
                let stream = stream.expect("a connection");
                let Some(range) = read_request(&stream) else { continue };
                let answer = {
                    let mut seen = seen.lock().expect("not poisoned");
                    seen.push(range.clone());
                    answers[(seen.len() - 1).min(answers.len() - 1)].clone()
                };
                // A client that hangs up early is expected here.
                let _ = respond(stream, &content, &answer, range.as_deref(), address);
            }
        });
        Self { address, ranges, is_stopping, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}/data.gz", self.address)
    }

    /// The `Range` header of every request so far.
    pub fn ranges(&self) -> Vec<Option<String>> {
        self.ranges.lock().expect("not poisoned").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// A URL at which nothing listens.
pub fn unused_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}/data.gz", listener.local_addr().expect("an address"))
}

/// Returns the request's `Range` header; `None` if there is no request.
fn read_request(stream: &TcpStream) -> Option<Option<String>> {
    let mut range = None;
    for (number, line) in BufReader::new(stream).lines().enumerate() {
        let line = line.ok()?;
        if line.is_empty() {
            return (number > 0).then_some(range);
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("range")
        {
            range = Some(value.trim().to_owned());
        }
    }
    None
}

fn respond(mut stream: TcpStream, content: &[u8], answer: &Answer, range: Option<&str>, address: SocketAddr) -> std::io::Result<()> {
    let asked: usize = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()).unwrap_or(0);
    let start = if matches!(answer, Answer::WholeIgnoringRange | Answer::Longer | Answer::Shorter) { 0 } else { asked };
    let mut body = content[start.min(content.len())..].to_vec();
    let (mut status, mut headers) = (200, String::new());
    if start > 0 {
        status = 206;
        let first = if matches!(answer, Answer::WrongRange) { start + 1 } else { start };
        headers = format!("Content-Range: bytes {first}-{}/{}\r\n", content.len() - 1, content.len());
    }
    match answer {
        Answer::Lie => body.iter_mut().for_each(|byte| *byte ^= 1),
        Answer::Longer | Answer::LongerWithoutLength => body.push(0),
        Answer::Shorter => drop(body.pop()),
        Answer::Status(code, retry_after) => {
            (status, body) = (*code, Vec::new());
            headers = retry_after.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
        }
        Answer::Redirect(url) => (status, body, headers) = (302, Vec::new(), format!("Location: {url}\r\n")),
        Answer::RedirectToSelf => (status, body, headers) = (302, Vec::new(), format!("Location: http://{address}/data.gz\r\n")),
        _ => {}
    }
    if !matches!(answer, Answer::WithoutLength | Answer::CutWithoutLength(_) | Answer::LongerWithoutLength) {
        headers += &format!("Content-Length: {}\r\n", body.len());
    }
    let (sent, stalls) = match answer {
        Answer::StallBeforeHeaders => return wait_for_hang_up(&stream),
        Answer::CutAfter(bytes) | Answer::CutWithoutLength(bytes) => ((*bytes).min(body.len()), false),
        Answer::StallAfter(bytes) => ((*bytes).min(body.len()), true),
        _ => (body.len(), false),
    };
    write!(stream, "HTTP/1.1 {status} Status\r\nConnection: close\r\n{headers}\r\n")?;
    stream.write_all(&body[..sent])?;
    if stalls { wait_for_hang_up(&stream) } else { Ok(()) }
}

fn wait_for_hang_up(mut stream: &TcpStream) -> std::io::Result<()> {
    stream.read(&mut [0]).map(drop)
}
