//! The progress of a run: where its checkpoints are taken, and from where it resumes.

use serde::{Deserialize, Serialize};

/// A point of a run: after `completed` rounds or epochs, and after `steps` optimizer steps of the next epoch. Milestones are ordered as a
/// run passes them.
///
/// In JSON it is the number `completed`, or an object of both if `steps` isn't 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct Milestone {
    /// The number of whole rounds or epochs.
    pub completed: u32,
    /// The number of optimizer steps of the next epoch; 0 between epochs, and always 0 in federated tasks.
    pub steps: u32,
}

impl Milestone {
    /// The beginning of a run.
    pub const START: Self = Self { completed: 0, steps: 0 };

    /// Returns `epoch 3`, or `epoch 3, step 500 of the next`, if `unit` is `epoch`; `epoch 0` is the initial model.
    #[must_use]
    pub fn text(self, unit: &str) -> String {
        let Self { completed, steps } = self;
        if steps == 0 { format!("{unit} {completed}") } else { format!("{unit} {completed}, step {steps} of the next") }
    }
}

impl From<u32> for Milestone {
    fn from(completed: u32) -> Self {
        Self { completed, steps: 0 }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Wire {
    Between(u32),
    Within(Within),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Within {
    completed: u32,
    steps: u32,
}

impl From<Wire> for Milestone {
    fn from(wire: Wire) -> Self {
        match wire {
            Wire::Between(completed) => completed.into(),
            Wire::Within(Within { completed, steps }) => Self { completed, steps },
        }
    }
}

impl From<Milestone> for Wire {
    fn from(Milestone { completed, steps }: Milestone) -> Self {
        if steps == 0 { Self::Between(completed) } else { Self::Within(Within { completed, steps }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milestones_between_epochs_are_numbers() {
        let check = |milestone: Milestone, json: &str| {
            assert_eq!(serde_json::to_string(&milestone).unwrap(), json);
            assert_eq!(serde_json::from_str::<Milestone>(json).unwrap(), milestone);
        };
        check(Milestone::START, "0");
        check(3.into(), "3");
        check(Milestone { completed: 3, steps: 500 }, r#"{"completed":3,"steps":500}"#);
        for json in ["-1", "1.5", r#"{"completed":3}"#, r#"{"completed":3,"steps":5,"more":1}"#] {
            assert!(serde_json::from_str::<Milestone>(json).is_err(), "{json}");
        }
        assert!(Milestone::from(3) < Milestone { completed: 3, steps: 1 } && Milestone { completed: 3, steps: 9 } < Milestone::from(4));
    }
}
