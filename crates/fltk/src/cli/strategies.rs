//! The arguments of `fltk strategies`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::names;

#[derive(Subcommand, Debug)]
pub enum StrategiesCommand {
    /// List all strategies with their publications.
    List,
    /// Show a strategy's settings, what it wants of clients and keeps on the server, and a case for `apply` to copy.
    Show {
        #[arg(help = names::strategy())]
        name: String,
    },
    /// Compute the next global models from updates, as the server does.
    Apply(ApplyArgs),
}

#[derive(Args, Debug)]
#[command(after_help = "\
A case is a round, or a list of rounds of which each starts from the answer to the one before:
  updates       the clients' answers, a list of
    values        the client's model (not its change): nested lists of numbers, by name
    client        its number (default: its place in the list)
    samples       those that it holds (1)
    steps         those that it took (1)
    extra         what `fltk strategies show NAME` says
  client_learning_rate
                that of the clients, in this round and the next ones
In the first round also:
  strategy      as in an experiment file, or only its name
  global        the model that the clients started from
  state         what the server keeps (default: what it has before the first round)
  round         the number of the first round (1)
  clients       the number of all clients (default: as few as the updates need)

A name that ends in `running_mean` or `running_var` is a buffer's, `num_batches_tracked` is a
counter, all others are parameters. \"NaN\", \"Infinity\" and \"-Infinity\" are numbers too: under
robust rules an update with one counts as failed, and under the others it is an error.

The answer is a list of `{\"global\": {...}, \"state\": {...}}`, one a round. Both can be copied into
the next case, with the same bits.

Examples:
  fltk strategies apply case.json
  fltk strategies show FedAdam --output json | jq .case | fltk strategies apply - --output json")]
pub struct ApplyArgs {
    /// The case (JSON); `-` for standard input.
    #[arg(value_name = "CASE.json")]
    pub case: PathBuf,
}
