//! Events of a page that a test asks about later: requests, complaints, and files that were saved.

use serde_json::Value;

use super::pipe::Event;

/// Everything that was seen of a page so far.
#[derive(Debug, Default)]
pub struct Seen {
    /// The addresses of all requests, in order, including those for the page itself.
    pub requests: Vec<String>,
    /// Errors: exceptions that nothing caught, errors on the console, violations of the content security policy, requests that failed.
    pub problems: Vec<String>,
}

impl Seen {
    /// Takes in what the browser says of the page.
    pub fn take(&mut self, event: &Event) {
        let params = &event.params;
        match event.method.as_str() {
            "Network.requestWillBeSent" => self.requests.extend(text(&params["request"]["url"])),
            "Network.webSocketCreated" => self.requests.extend(text(&params["url"])),
            "Runtime.exceptionThrown" => self.problems.push(exception(&params["exceptionDetails"])),
            "Runtime.consoleAPICalled" if matches!(params["type"].as_str(), Some("error" | "assert")) => {
                let words =
                    params["args"].as_array().into_iter().flatten().filter_map(|word| text(&word["value"]).or(text(&word["description"])));
                self.problems.push(format!("console: {}", words.collect::<Vec<_>>().join(" ")));
            }
            "Log.entryAdded" if params["entry"]["level"] == "error" => {
                let entry = &params["entry"];
                let fields = ["source", "text", "url"].into_iter().filter_map(|field| text(&entry[field]));
                self.problems.push(fields.collect::<Vec<_>>().join(": "));
            }
            _ => {}
        }
    }
}

/// Returns the text of an exception, with its stack as far as the browser knows it.
pub fn exception(details: &Value) -> String {
    let of_object = text(&details["exception"]["description"]).or(text(&details["exception"]["value"]));
    of_object.or(text(&details["text"])).unwrap_or_else(|| details.to_string())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_and_problems_are_noted() {
        let mut seen = Seen::default();
        for (method, params) in [
            ("Network.requestWillBeSent", json!({ "request": { "url": "http://127.0.0.1/a" } })),
            ("Network.responseReceived", json!({})),
            ("Runtime.exceptionThrown", json!({ "exceptionDetails": { "text": "Uncaught", "exception": { "description": "Error: a" } } })),
            ("Runtime.consoleAPICalled", json!({ "type": "error", "args": [{ "value": "b" }, { "description": "c" }] })),
            ("Runtime.consoleAPICalled", json!({ "type": "log", "args": [{ "value": "d" }] })),
            ("Log.entryAdded", json!({ "entry": { "level": "error", "source": "security", "text": "e" } })),
            ("Log.entryAdded", json!({ "entry": { "level": "warning", "source": "other", "text": "f" } })),
        ] {
            seen.take(&Event { session: "s".to_owned(), method: method.to_owned(), params });
        }
        assert_eq!(seen.requests, ["http://127.0.0.1/a"]);
        assert_eq!(seen.problems, ["Error: a", "console: b c", "security: e"]);
    }
}
