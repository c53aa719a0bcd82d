//! KFLTK's data samplers, which are partitions here.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::{
    report::Problem,
    source::{Span, quote},
    tree::Node,
};
use fltk_core::catalogue::Choice;

/// The partition of a federated training set.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataSampler {
    /// The sampler.
    #[serde(rename = "type")]
    kind: SamplerName,
    /// The only parameter of the sampler: `q`, labels per client, or alpha.
    q_value: Option<f64>,
    #[expect(dead_code, reason = "checked, never used")]
    #[schemars(extend("x-no-effect" = "fltk derives the partition from the experiment's seeds"))]
    seed: Option<i64>,
    #[expect(dead_code, reason = "checked, never used")]
    #[schemars(extend("x-no-effect" = "fltk always shuffles"))]
    shuffle: Option<bool>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
pub(super) enum SamplerName {
    #[serde(rename = "uniform")]
    Uniform,
    #[serde(rename = "q sampler")]
    QSampler,
    #[serde(rename = "limit labels")]
    LimitLabels,
    #[serde(rename = "limit labels flex")]
    LimitLabelsFlex,
    #[serde(rename = "n labels")]
    NLabels,
    #[serde(rename = "dirichlet")]
    Dirichlet,
    #[serde(rename = "limit labels q")]
    LimitLabelsQ,
    #[serde(rename = "emd sampler")]
    Emd,
}

/// Returns the partition of `sampler`, whose node is `node`; uniform without a sampler, as in KFLTK.
pub(super) fn partition(sampler: Option<&DataSampler>, node: Option<&Node>, problems: &mut Vec<Problem>) -> Option<Choice> {
    let (Some(sampler), Some(node)) = (sampler, node) else { return Some(Choice::new("uniform")) };
    let kind_span = node.get("type").map_or(node.span, |kind| kind.span);
    let span = node.get("qValue").map_or(kind_span, |value| value.span);
    partition_of(sampler.kind, sampler.q_value, ("qValue", kind_span, span), problems)
}

/// Returns the partition of the sampler `kind` with `value` as its parameter; `places` has the parameter's name and the places of both.
pub(super) fn partition_of(
    kind: SamplerName,
    value: Option<f64>,
    places: (&str, Span, Span),
    problems: &mut Vec<Problem>,
) -> Option<Choice> {
    let (key, kind_span, span) = places;
    Some(match kind {
        SamplerName::Uniform => Choice::new("uniform"),
        SamplerName::LimitLabelsFlex => Choice::new("limit_labels_flex"),
        SamplerName::QSampler => {
            let q = value.unwrap_or(0.5);
            if !(0.0..=1.0).contains(&q) {
                problems.push(Problem::error(span, format!("`{key}` of `q sampler` is a probability, not `{q}`")).hint("in 0..1"));
                return None;
            }
            Choice::new("q_sampler").with("q", q)
        }
        SamplerName::LimitLabels => Choice::new("limit_labels").with("limit", labels(key, "limit labels", value, span, problems)?),
        SamplerName::NLabels => Choice::new("n_labels").with("n", labels(key, "n labels", value, span, problems)?),
        SamplerName::Dirichlet => {
            let alpha = value.unwrap_or(0.5);
            if !(0.001..=1_000_000.0).contains(&alpha) {
                let message = format!("`{key}` of `dirichlet` is alpha, and must be in 0.001..1000000, not `{alpha}`");
                problems.push(Problem::error(span, message).hint("a small alpha is heterogeneous, 100 is almost IID"));
                return None;
            }
            Choice::new("dirichlet").with("alpha", alpha)
        }
        SamplerName::LimitLabelsQ => return unimplemented_there("limit labels q", "limit labels", kind_span, problems),
        SamplerName::Emd => return unimplemented_there("emd sampler", "dirichlet", kind_span, problems),
    })
}

/// Returns the parameter as a number of labels per client.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number in range, as just checked")]
fn labels(key: &str, kind: &str, value: Option<f64>, span: Span, problems: &mut Vec<Problem>) -> Option<u32> {
    /// KFLTK's default.
    const LABELS_DEFAULT: f64 = 5.0;
    let value = value.unwrap_or(LABELS_DEFAULT);
    if value.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(&value) {
        return Some(value as u32);
    }
    let message = format!("`{key}` of {} is the number of labels of a client, not `{value}`", quote(kind));
    problems.push(Problem::error(span, message).hint("a whole number of at least 1"));
    None
}

fn unimplemented_there<T>(kind: &str, instead: &str, span: Span, problems: &mut Vec<Problem>) -> Option<T> {
    let message = format!("{} was declared in KFLTK and never implemented: it divided uniformly", quote(kind));
    problems.push(Problem::error(span, message).hint(format!("choose one: `uniform`, or perhaps {}", quote(instead))));
    None
}
