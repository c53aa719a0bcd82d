//! `/` and `/assets/NAME`: the page. Neither needs the token, since neither contains data; the page asks for it.

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse as _, Redirect, Response},
};

use super::{
    Shared,
    answer::{ApiError, name},
};
use crate::page;

/// The time that a browser may keep an asset, in seconds: its address has the digest of its content.
const KEPT: &str = "private, max-age=31536000, immutable";

/// Sends the page.
pub async fn index(State(shared): State<Shared>) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, page::POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    (headers, Html(page::index(shared.site.token.is_some()))).into_response()
}

/// Leads to the page below a prefix: its assets are relative to the address with the final `/`.
pub async fn redirect(State(shared): State<Shared>) -> Response {
    Redirect::permanent(&format!("{}/", shared.site.prefix)).into_response()
}

/// Sends one of the page's files.
pub async fn asset(path: Result<Path<String>, PathRejection>) -> Result<Response, ApiError> {
    let asset = page::asset(&name(path)?).ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, "there is nothing at this path"))?;
    let mut response = ([(header::CONTENT_TYPE, asset.content_type), (header::CACHE_CONTROL, KEPT)], asset.content).into_response();
    if asset.is_packed {
        // Every browser unpacks gzip, and nothing else asks for these files.
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}
