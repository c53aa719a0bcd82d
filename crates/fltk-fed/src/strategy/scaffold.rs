//! SCAFFOLD: Karimireddy et al., SCAFFOLD: Stochastic Controlled Averaging for Federated Learning, 2020, arXiv:1910.06378, algorithm 1.

use std::sync::Arc;

use fltk_core::{
    catalogue::{Choice, Entry, Number, StrategyEntry, Word},
    client_state::ClientState,
    client_terms::{Arrays, ClientTerms},
    local_pass::{LocalPass, Measures, PassResult, Shift},
    model_state::ModelState,
    server_state::{ServerState, WrongLength},
};

use super::{
    Array, ClientAnswer, ClientMethod, ClientRound, Gathered, Gathering, Kept, Spec, Update, parameters, pseudo_gradient, round_to_f32,
};

const LEARNING_RATE: Number = pseudo_gradient::learning_rate(1.0);
const OPTION: Word = Word::new(
    "option",
    &["II", "I"],
    "A client's next control variate: the mean gradient of its steps (II), or the gradient of all its samples at the received model (I).",
);
const FLAVOR: Word = Word::new(
    "flavor",
    &["paper", "niid_bench"],
    "`niid_bench` corrects the parameters after each step, and takes `(x - y) / (K lr)` for the mean gradient whatever the momentum.",
);

/// The control variate: the server's in the round's terms and its state, the client's in what it keeps.
const CONTROL: &str = "control";
/// The change of a client's control variate, which it returns.
const CHANGE: &str = "control_change";

/// FedAvg whose clients correct every gradient for what makes them differ from the others:
///
/// ```text
/// c, c_i  the control variates of the server and of client i, 0 at first
/// g + c - c_i  takes the place of the gradient g in every local step
/// c_i'  = the mean of the gradients g that the client's steps saw
/// w'    = w + learning_rate * mean_i(w_i - w)         over the S clients that answered, all alike
/// c'    = c + S/N * mean_i(c_i' - c_i)                N is the number of all clients
/// ```
///
/// For plain SGD, c_i' is the paper's option II, `c_i - c + (w - w_i) / (K lr)` after K steps; that formula is wrong with momentum or weight
/// decay, and the mean gradient isn't. With `option: I` it is the gradient of the mean loss over the client's samples at w.
///
/// Two clients of four answer with models at 1 and 3, and changes of their variates 0.4 and 0.8, where w = 0 and c = 0.1: w' = 2 and
/// c' = 0.1 + 2/4 * 0.6 = 0.4. A client with c_i = 0.5 has c - c_i = -0.1 added to every gradient in the next round.
///
/// `flavor: niid_bench` is what NIID-Bench (Li et al. 2022, arXiv:2102.02079) computes: `lr (c - c_i)` is subtracted from the parameters after
/// every step, outside the momentum, and c_i' is option II's formula with K steps. Buffers are the means weighted by samples.
pub static SPEC: Spec = Spec {
    keeps: &[CONTROL],
    arrays: &[Array { name: CHANGE, doc: "The change of the client's control variate, `c_i' - c_i`." }],
    state: &[Kept::array(CONTROL, "The server's control variate, `c`; 0 before the first round.")],
    client: ClientMethod::new(next_pass, finish_client),
    set_terms,
    ..Spec::fold(
        StrategyEntry::new(
            Entry::new("SCAFFOLD", "FedAvg with control variates against the drift of clients.")
                .paper(
                    "Karimireddy et al., SCAFFOLD: Stochastic Controlled Averaging for Federated Learning, 2020, arXiv:1910.06378, \
                     algorithm 1",
                )
                .parameters(&[LEARNING_RATE.parameter(), OPTION.parameter(), FLAVOR.parameter()]),
        ),
        take,
        finish,
    )
};

fn set_terms(_: &Choice, server: &ServerState, terms: &mut ClientTerms) {
    if let Some(control) = server.arrays.get(CONTROL) {
        let control = control.iter().copied().map(round_to_f32).collect();
        Arc::make_mut(&mut terms.arrays).insert(CONTROL.to_owned(), control);
    }
}

fn next_pass(round: &ClientRound<'_>, kept: &ClientState, done: &[PassResult]) -> Result<Option<LocalPass>, WrongLength> {
    if !done.is_empty() {
        return Ok(None);
    }
    let len = parameters::count(round.global);
    let mut shift = round.array(CONTROL, len)?;
    if let Some(own) = kept.get(CONTROL, len)? {
        shift.iter_mut().zip(own).for_each(|(shift, own)| *shift -= own);
    }
    let (is_bench, is_first) = (FLAVOR.of(round.settings) == "niid_bench", OPTION.of(round.settings) == "I");
    let shift = if is_bench { Shift::Step(shift) } else { Shift::Gradient(shift) };
    let measures = Measures { initial_gradient: !is_bench && is_first, mean_gradient: !is_bench && !is_first, ..Measures::default() };
    Ok(Some(LocalPass { shift: Some(shift), measures, ..round.plain_pass() }))
}

fn finish_client(round: &ClientRound<'_>, kept: &mut ClientState, mut done: Vec<PassResult>) -> Result<ClientAnswer, WrongLength> {
    let len = parameters::count(round.global);
    let (mut change, control) = (vec![0.0; len], round.array(CONTROL, len)?);
    let own = kept.array(CONTROL, len)?;
    // A client that took no step saw no gradient, and its variate stays as it is.
    if let Some(pass) = done.first_mut().filter(|pass| pass.summary.num_steps > 0) {
        let next = if FLAVOR.of(round.settings) == "niid_bench" {
            by_distance(round, pass, own, &control)
        } else {
            std::mem::take(&mut pass.gradient)
        };
        if next.len() != len {
            return Err(WrongLength { name: "gradient".to_owned(), found: next.len(), expected: len });
        }
        for ((change, own), next) in change.iter_mut().zip(own).zip(next) {
            *change = next - *own;
            *own = next;
        }
    }
    Ok(ClientAnswer { arrays: Arrays::from([(CHANGE.to_owned(), change)]), ..round.answer(done) })
}

/// Returns `c_i - c + (w - w_i) / (K lr)`.
#[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
fn by_distance(round: &ClientRound<'_>, pass: &PassResult, own: &[f32], control: &[f32]) -> Vec<f32> {
    let scale = 1.0 / (pass.summary.num_steps as f64 * round.terms.learning_rate);
    let changes = parameters::changes(round.global, &pass.state);
    let variates = own.iter().zip(control).map(|(&own, &control)| f64::from(own) - f64::from(control));
    variates.zip(changes).map(|(variate, change)| round_to_f32(variate - scale * change)).collect()
}

fn take(round: &Gathering<'_>, gathered: &mut Gathered, update: Update) {
    if let Some(change) = update.arrays.get(CHANGE) {
        gathered.add_array(CHANGE, change);
    }
    pseudo_gradient::take_uniform(round, gathered, update);
}

fn finish(round: &Gathering<'_>, gathered: Gathered, server: &mut ServerState) -> Result<ModelState, WrongLength> {
    let control = server.array(CONTROL, round.num_parameters())?;
    if let Some(changes) = gathered.arrays.get(CHANGE) {
        for (control, change) in control.iter_mut().zip(changes) {
            *control += change / f64::from(round.num_clients);
        }
    }
    let rate = LEARNING_RATE.of(round.config);
    let steps: Vec<f64> = pseudo_gradient::mean(round, &gathered).map(|mean| rate * mean).collect();
    Ok(pseudo_gradient::apply(round, gathered, steps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::by_hand::{Run, Trained, assert_close, client, client_state, train};

    fn settings() -> Choice {
        Choice::new("SCAFFOLD")
    }

    #[test]
    fn the_servers_variate_moves_by_the_share_of_clients_that_answered() {
        let mut run = Run::new(&SPEC, settings(), &[0.0]).clients(4);
        run.server.arrays.insert(CONTROL.to_owned(), vec![0.1]);
        let answers = [client(&[1.0]).samples(1).array(CHANGE, &[0.4]), client(&[3.0]).samples(9).array(CHANGE, &[0.8])];
        assert_close(&run.round(&answers), &[2.0]);
        assert!((run.server.arrays[CONTROL][0] - 0.4).abs() < 1e-7);
        let mut terms = run.terms();
        set_terms(&settings(), &run.server, &mut terms);
        let kept = client_state(CONTROL, &[0.5]);
        let pass = next_pass(&ClientRound { settings: &settings(), terms: &terms, global: run.model() }, &kept, &[]).unwrap().unwrap();
        let Some(Shift::Gradient(shift)) = pass.shift else { panic!("{pass:?}") };
        assert_close(&shift, &[-0.1]);
    }

    #[test]
    fn halving_the_servers_rate_halves_the_step() {
        let mut run = Run::new(&SPEC, settings().with("learning_rate", 0.5), &[1.0]).clients(2);
        assert_close(&run.round(&[client(&[2.0]).array(CHANGE, &[0.0]), client(&[4.0]).array(CHANGE, &[0.0])]), &[2.0]);
    }

    /// A client whose loss is `(x - 2)^2 / 2`, from x = 0, with a learning rate of 0.5 and momentum 0.9, two steps: c = 0.2 and c_i = 0.1 shift
    /// every gradient by 0.1. Gradients: -2, then at x = 0.95 -1.05; mean -1.525. The velocities are -1.9, then 0.9 * -1.9 - 0.95 = -2.66, so
    /// x ends at 0.95 + 1.33 = 2.28.
    #[test]
    fn a_clients_variate_is_the_mean_gradient_even_with_momentum() {
        let mut run = Run::new(&SPEC, settings(), &[0.0]).clients(2);
        run.server.arrays.insert(CONTROL.to_owned(), vec![0.2]);
        let mut kept = client_state(CONTROL, &[0.1]);
        let Trained { state, arrays, .. } = train(&run, &mut kept, &[2.0], 2, 0.9);
        assert_close(&state, &[2.28]);
        assert_close(&kept.arrays[CONTROL], &[-1.525]);
        assert_close(&arrays[CHANGE], &[-1.625]);
    }

    #[test]
    fn option_one_is_the_gradient_at_the_received_model() {
        let run = Run::new(&SPEC, settings().with("option", "I"), &[0.0]).clients(2);
        let mut kept = ClientState::default();
        train(&run, &mut kept, &[2.0], 2, 0.9);
        assert_close(&kept.arrays[CONTROL], &[-2.0]);
    }

    /// The same client as NIID-Bench has it: x = 0 - 0.5 * -2 = 1, corrected by -0.5 * 0.1 to 0.95; the velocity 0.9 * -2 - 1.05 = -2.85 leads to
    /// 2.375, corrected to 2.325. c_i' = 0.1 - 0.2 - 2.325 / (2 * 0.5) = -2.425.
    #[test]
    fn niid_bench_corrects_after_the_step_and_forgets_the_momentum() {
        let mut run = Run::new(&SPEC, settings().with("flavor", "niid_bench"), &[0.0]).clients(2);
        run.server.arrays.insert(CONTROL.to_owned(), vec![0.2]);
        let mut kept = client_state(CONTROL, &[0.1]);
        assert_close(&train(&run, &mut kept, &[2.0], 2, 0.9).state, &[2.325]);
        assert_close(&kept.arrays[CONTROL], &[-2.425]);
    }

    #[test]
    fn a_client_without_steps_keeps_its_variate() {
        let run = Run::new(&SPEC, settings(), &[0.0]).clients(2);
        let mut kept = client_state(CONTROL, &[0.1]);
        let trained = train(&run, &mut kept, &[2.0], 0, 0.0);
        assert_eq!((kept.arrays[CONTROL].clone(), trained.arrays[CHANGE].clone()), (vec![0.1], vec![0.0]));
    }
}
