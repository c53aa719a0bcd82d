//! KFLTK's losses. It knows twenty names, of which a classifier's training loop can use three.

use super::super::{
    report::Problem,
    source::{Span, quote},
};

/// The loss if a file doesn't name one.
pub(super) const DEFAULT: &str = "CrossEntropyLoss";

/// Every name, with the corresponding loss, or the reason why it can't be a loss over (logits, class index).
pub(super) const LOSSES: [(&str, Result<&str, &str>); 20] = [
    ("CrossEntropyLoss", Ok("CrossEntropyLoss")),
    ("NLLLoss", Ok("NLLLoss")),
    ("MultiMarginLoss", Ok("MultiMarginLoss")),
    ("L1Loss", Err(REGRESSION)),
    ("MSELoss", Err(REGRESSION)),
    ("HuberLoss", Err(REGRESSION)),
    ("SmoothL1Loss", Err(REGRESSION)),
    ("PoissonNLLLoss", Err(REGRESSION)),
    ("GaussianNLLLoss", Err("it needs a variance for every prediction, and nets give only logits")),
    ("KLDivLoss", Err("it compares with a distribution, and targets are class indices")),
    ("CTCLoss", Err("it aligns sequences of unknown length, and every sample has one class index")),
    ("BCELoss", Err(BINARY)),
    ("BCEWithLogitsLoss", Err(BINARY)),
    ("SoftMarginLoss", Err(BINARY)),
    ("MultiLabelMarginLoss", Err("it needs several classes per sample, and every sample has one class index")),
    ("MultiLabelSoftMarginLoss", Err("it needs several classes per sample, and every sample has one class index")),
    ("MarginRankingLoss", Err(PAIRS)),
    ("CosineEmbeddingLoss", Err(PAIRS)),
    ("TripletMarginLoss", Err(PAIRS)),
    ("TripletMarginWithDistanceLoss", Err(PAIRS)),
];

const REGRESSION: &str = "it compares numbers with numbers, and targets are class indices";
const BINARY: &str = "it needs a target of 0 or 1 for every logit, and targets are class indices";
const PAIRS: &str = "it compares pairs or triplets of samples, and a batch has none";

/// Returns the loss of that name; no name means cross-entropy, as in KFLTK.
pub(super) fn loss(name: Option<&str>, span: Span, problems: &mut Vec<Problem>) -> Option<&'static str> {
    let Some(name) = name else { return Some(DEFAULT) };
    match LOSSES.iter().find(|(known, _)| *known == name)?.1 {
        Ok(loss) => Some(loss),
        Err(reason) => {
            let problem = Problem::error(span, format!("{} can't train a classifier: {reason}", quote(name)));
            problems.push(problem.hint("use `CrossEntropyLoss`, `NLLLoss` or `MultiMarginLoss`"));
            None
        }
    }
}
