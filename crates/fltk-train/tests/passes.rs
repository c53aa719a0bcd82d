//! The requests of strategies to a pass, each against plain training or arithmetic on its result.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use fltk_core::{
    catalogue::Choice,
    client_terms::LocalWork,
    experiment::{DatasetConfig, NetworkConfig, TrainConfig},
    ids::{ClientId, Round},
    local_pass::{Anchor, Contrast, LocalPass, Measures, Mixture, PassResult, Shift},
    model_state::{ModelState, TensorRole},
    seed::Seed,
};
use fltk_data::{Dataset, Locations, load};
use fltk_train::{Device, LocalClient, LocalTrainer, Model, TrainError, losses, nets::InputShape};

const RATE: f64 = 0.05;

fn mini() -> Arc<Dataset> {
    let config = DatasetConfig::named("fashion-mnist-mini");
    Arc::new(load(&config, Path::new(""), &Locations { cache: None, local: vec![] }).unwrap())
}

fn model(name: &str, seed: u64) -> Model {
    Model::new(&NetworkConfig::named(name), Path::new(""), InputShape::of(&mini()), Seed(seed), Device::Cpu).unwrap()
}

fn state(name: &str, seed: u64) -> Arc<ModelState> {
    fltk_train::init(1);
    Arc::new(model(name, seed).state().unwrap())
}

fn trainer(name: &str, batch_size: u32, momentum: f64) -> LocalTrainer {
    fltk_train::init(1);
    let optimizer = Choice::new("SGD").with("learning_rate", RATE).with("momentum", momentum);
    let config = TrainConfig { batch_size, test_batch_size: 16, drop_last: false, optimizer, scheduler: None };
    LocalTrainer::new(model(name, 1), mini(), config, losses::find("CrossEntropyLoss").unwrap())
}

/// Returns client 2 in round 3, with these samples.
fn client<'a>(samples: &'a [u32], stop: &'a AtomicBool) -> LocalClient<'a> {
    LocalClient { samples, seed: Seed(5), client: ClientId(2), round: Round(3), flips_labels: false, stop }
}

/// Trains client 2, which has 40 samples, with this net, batch size and momentum.
fn try_train(name: &str, batch_size: u32, momentum: f64, pass: &LocalPass) -> Result<PassResult, TrainError> {
    let samples: Vec<u32> = (100..140).collect();
    trainer(name, batch_size, momentum).train(&client(&samples, &AtomicBool::new(false)), pass)
}

fn train(batch_size: u32, momentum: f64, pass: &LocalPass) -> PassResult {
    try_train("LeNet5", batch_size, momentum, pass).unwrap()
}

fn plain(steps: u64) -> LocalPass {
    LocalPass::plain(state("LeNet5", 1), RATE, LocalWork::Steps(steps))
}

/// Returns numbers that differ by place, for every parameter of a `LeNet5`.
fn pattern() -> Vec<f32> {
    let len = state("LeNet5", 1).floats.len();
    (0..len).map(|place| (place as f32 * 0.37).sin()).collect()
}

fn assert_close(found: &[f32], expected: impl IntoIterator<Item = f64>, tolerance: f64) {
    let mut num = 0;
    for (place, (&found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(found) - expected).abs() <= tolerance, "at {place}: {found}, not {expected}");
        num += 1;
    }
    assert_eq!(num, found.len());
}

fn wide(values: &[f32]) -> impl Iterator<Item = f64> {
    values.iter().map(|&value| f64::from(value))
}

#[test]
fn a_shift_of_gradients_acts_before_the_momentum_and_one_of_steps_after_it() {
    let shifts = pattern();
    let with = |shift, steps, momentum| train(16, momentum, &LocalPass { shift, ..plain(steps) }).state.floats;
    let moved = |times: f64, from: &[f32]| {
        let from: Vec<f64> = wide(from).collect();
        from.into_iter().zip(wide(&shifts)).map(move |(value, shift)| value - times * RATE * shift).collect::<Vec<_>>()
    };
    let one = with(None, 1, 0.9);
    for shift in [Shift::Gradient(shifts.clone()), Shift::Step(shifts.clone())] {
        assert_close(&with(Some(shift), 1, 0.9), moved(1.0, &one), 1e-6);
    }
    // Tiny shifts leave the second gradient as it was: they act 1 + 1.9 times through the momentum, and twice after it.
    let tiny: Vec<f32> = shifts.iter().map(|shift| shift * 1e-3).collect();
    let two = with(None, 2, 0.9);
    for (shift, times) in [(Shift::Gradient(tiny.clone()), 2.9e-3), (Shift::Step(tiny), 2e-3)] {
        assert_close(&with(Some(shift), 2, 0.9), moved(times, &two), 3e-5);
    }
}

/// By hand: the first step ends at w1, where the pull begins. In the gradient it acts once in the second step, and 1 + 1.9 times in three
/// through the momentum of 0.9; beside the optimizer it acts once in each.
#[test]
fn a_pull_in_the_gradient_goes_through_the_momentum() {
    let start = state("LeNet5", 1);
    let mu = 1e-3;
    let with = |proximal, steps| train(16, 0.9, &LocalPass { proximal, ..plain(steps) }).state.floats;
    let anchor = |is_in_gradient| Some(Anchor { mu, model: Arc::clone(&start), is_in_gradient });
    let one: Vec<f64> = wide(&with(None, 1)).collect();
    let strayed: Vec<f64> = one.iter().zip(wide(&start.floats)).map(|(one, start)| one - start).collect();
    for is_in_gradient in [true, false] {
        let expected = wide(&with(None, 2)).zip(&strayed).map(|(value, strayed)| value - RATE * mu * strayed).collect::<Vec<_>>();
        assert_close(&with(anchor(is_in_gradient), 2), expected, 1e-7);
    }
    let [inside, beside] = [true, false].map(|is_in_gradient| with(anchor(is_in_gradient), 3));
    assert_close(&inside, wide(&beside).zip(&strayed).map(|(value, strayed)| value - RATE * mu * 0.9 * strayed), 1e-6);
    assert!(inside.iter().zip(&beside).any(|(inside, beside)| inside != beside));
}

#[test]
fn mean_gradients_are_the_distance_of_plain_descent() {
    let measures = Measures { mean_gradient: true, ..Measures::default() };
    let pass = LocalPass { measures, shift: Some(Shift::Gradient(pattern())), ..plain(3) };
    let trained = train(16, 0.0, &pass);
    let distance = |place: usize| f64::from(pass.start.floats[place]) - f64::from(trained.state.floats[place]);
    let shift = pattern();
    // The gradients that the steps saw are without the shift.
    assert_close(&trained.gradient, (0..shift.len()).map(|place| distance(place) / (3.0 * RATE) - f64::from(shift[place])), 2e-5);
    assert!(trained.gradient.iter().any(|value| value.abs() > 1e-3));
    assert!(train(16, 0.0, &plain(3)).gradient.is_empty(), "only if it is asked for");
    // With momentum, the distance is another, and the first gradient is the same.
    let first = |momentum| train(16, momentum, &LocalPass { measures, ..plain(1) }).gradient;
    assert_eq!(first(0.9), first(0.0));
}

#[test]
fn gradient_and_loss_at_the_start_are_those_of_a_step_on_all_samples() {
    let measures = Measures { initial_gradient: true, initial_loss: true, ..Measures::default() };
    let pass = LocalPass { measures, ..plain(1) };
    let trained = train(64, 0.0, &pass);
    assert_eq!(trained.summary.num_samples, 40);
    assert!((trained.initial_loss - trained.summary.loss.unwrap()).abs() < 1e-6);
    let distance = wide(&pass.start.floats).zip(wide(&trained.state.floats)).map(|(start, end)| (start - end) / RATE);
    assert_close(&trained.gradient, distance, 2e-5);
    // Statistics of batch norms don't move.
    let none = LocalPass { measures, ..LocalPass::plain(state("FashionMNISTCNN", 1), RATE, LocalWork::Steps(0)) };
    assert_eq!(try_train("FashionMNISTCNN", 16, 0.0, &none).unwrap().state, *none.start);
}

/// The gradients of a perceptron are computed in closed form.
#[test]
fn passes_ask_the_same_of_a_perceptron() {
    let start = state("McMahan2NN", 1);
    let shift: Vec<f32> = (0..start.floats.len()).map(|place| (place as f32 * 0.37).sin()).collect();
    let measures = Measures { mean_gradient: true, ..Measures::default() };
    let plain = |steps| LocalPass::plain(Arc::clone(&start), RATE, LocalWork::Steps(steps));
    let pass = LocalPass { measures, shift: Some(Shift::Gradient(shift.clone())), ..plain(3) };
    let trained = try_train("McMahan2NN", 16, 0.0, &pass).unwrap();
    let distance =
        |end: &ModelState| wide(&start.floats).zip(wide(&end.floats)).map(|(start, end)| (start - end) / RATE).collect::<Vec<_>>();
    let expected = distance(&trained.state).into_iter().zip(wide(&shift)).map(|(distance, shift)| distance / 3.0 - shift);
    assert_close(&trained.gradient, expected, 2e-5);
    assert!(trained.gradient.iter().any(|value| value.abs() > 1e-3));
    let at_start = LocalPass { measures: Measures { initial_gradient: true, initial_loss: true, ..Measures::default() }, ..plain(1) };
    let trained = try_train("McMahan2NN", 64, 0.0, &at_start).unwrap();
    assert!((trained.initial_loss - trained.summary.loss.unwrap()).abs() < 1e-6);
    assert_close(&trained.gradient, distance(&trained.state), 2e-5);
}

#[test]
fn only_the_chosen_tensors_are_trained() {
    let start = state("LeNet5", 1);
    let head: Vec<bool> = start.layout.iter().map(|spec| spec.name.starts_with("fc3.")).collect();
    let check = |trains: Vec<bool>| {
        let trained = train(16, 0.9, &LocalPass { trains: Some(trains.clone()), ..plain(2) });
        let mut place = 0;
        for (spec, trains) in start.layout.iter().zip(trains) {
            let span = place..place + spec.num_elements();
            assert_eq!(trained.state.floats[span.clone()] != start.floats[span.clone()], trains, "{}", spec.name);
            place = span.end;
        }
    };
    check(head.iter().map(|is_head| !is_head).collect());
    check(head);
    check(vec![false; start.layout.len()]);
}

#[test]
fn a_contrast_between_the_same_models_is_no_contrast() {
    let (start, other) = (state("LeNet5", 1), state("LeNet5", 2));
    let with = |global: &Arc<ModelState>, previous: &Arc<ModelState>| {
        let (global, previous) = (Arc::clone(global), Arc::clone(previous));
        train(16, 0.0, &LocalPass { contrast: Some(Contrast { mu: 5.0, tau: 0.5, global, previous }), ..plain(2) })
    };
    let (without, same) = (train(16, 0.0, &plain(2)), with(&other, &other));
    assert_close(&same.state.floats, wide(&without.state.floats), 1e-6);
    let towards = with(&start, &other);
    assert!(towards.state.floats.iter().zip(&without.state.floats).any(|(one, other)| (one - other).abs() > 1e-4));
    // The loss is reported without the term, which is the same in the first step.
    let first = |contrast| train(64, 0.0, &LocalPass { contrast, ..plain(1) }).summary.loss;
    assert_eq!(first(Some(Contrast { mu: 5.0, tau: 0.5, global: Arc::clone(&start), previous: other })), first(None));
}

/// The state of a mixture: `alpha v + (1 - alpha) w`.
fn mixed(alpha: f64, own: &ModelState, shared: &ModelState) -> Arc<ModelState> {
    let pairs = wide(&own.floats).zip(wide(&shared.floats));
    let floats = pairs.map(|(own, shared)| (alpha * own + (1.0 - alpha) * shared) as f32).collect();
    Arc::new(ModelState { floats, ..own.clone() })
}

#[test]
fn personal_models_follow_the_gradient_of_the_mixture() {
    let (shared, own, alpha) = (state("LeNet5", 1), state("LeNet5", 2), 0.75);
    let mixture = |alpha, is_adaptive| Some(Mixture { alpha, is_adaptive, personal: Arc::clone(&own) });
    let trained = train(64, 0.0, &LocalPass { mixture: mixture(alpha, true), ..plain(1) });
    // The shared model doesn't notice.
    assert_eq!(trained.state, train(64, 0.0, &plain(1)).state);
    let measures = Measures { initial_gradient: true, ..Measures::default() };
    let start = mixed(alpha, &own, &shared);
    let gradient = train(64, 0.0, &LocalPass { measures, start, ..plain(0) }).gradient;
    let (state, share) = trained.mixture.unwrap();
    assert_close(&state.floats, wide(&own.floats).zip(wide(&gradient)).map(|(own, gradient)| own - RATE * alpha * gradient), 1e-6);
    let slope: f64 = wide(&gradient).zip(wide(&own.floats).zip(wide(&shared.floats))).map(|(g, (own, shared))| g * (own - shared)).sum();
    assert!((share - (alpha - RATE * slope)).abs() < 1e-4 && share != alpha, "{share}, slope {slope}");
    // A share of 0 leaves the personal model as it is; one of 1 trains it as if it were alone.
    let ends = |alpha| train(16, 0.9, &LocalPass { mixture: mixture(alpha, false), ..plain(3) }).mixture.unwrap();
    assert_eq!(ends(0.0), (ModelState::clone(&own), 0.0));
    let alone = train(16, 0.9, &LocalPass { start: Arc::clone(&own), ..plain(3) });
    assert_close(&ends(1.0).0.floats, wide(&alone.state.floats), 1e-4);
}

#[test]
fn a_mixture_has_statistics_of_its_own() {
    let (shared, own) = (state("FashionMNISTCNN", 1), state("FashionMNISTCNN", 2));
    let mixture = Some(Mixture { alpha: 0.5, is_adaptive: false, personal: Arc::clone(&own) });
    let pass = LocalPass { mixture, ..LocalPass::plain(Arc::clone(&shared), RATE, LocalWork::Steps(2)) };
    let trained = try_train("FashionMNISTCNN", 16, 0.0, &pass).unwrap();
    let (state, _) = trained.mixture.unwrap();
    assert_eq!((state.counters, trained.state.counters), (vec![2, 2], vec![2, 2]));
    let mut place = 0;
    for spec in own.layout.iter().filter(|spec| spec.role != TensorRole::Counter) {
        let span = place..place + spec.num_elements();
        assert_ne!(state.floats[span.clone()], own.floats[span.clone()], "{}", spec.name);
        assert_ne!(state.floats[span.clone()], trained.state.floats[span.clone()], "{}", spec.name);
        place = span.end;
    }
}

#[test]
fn arrays_of_another_net_are_refused() {
    for len in [3, 100_000] {
        let shift = Some(Shift::Gradient(vec![0.0; len]));
        let error = try_train("LeNet5", 16, 0.0, &LocalPass { shift, ..plain(1) }).unwrap_err().to_string();
        assert!(error.contains("of another net"), "{error}");
    }
}

#[test]
fn a_loss_is_the_mean_over_the_samples_or_over_some_that_are_drawn() {
    let (mut trainer, state, stop) = (trainer("LeNet5", 16, 0.0), state("LeNet5", 7), AtomicBool::new(false));
    let samples: Vec<u32> = (100..140).collect();
    let measures = Measures { initial_loss: true, ..Measures::default() };
    let pass = LocalPass { measures, ..LocalPass::plain(Arc::clone(&state), RATE, LocalWork::Steps(1)) };
    let expected = trainer.train(&client(&samples, &stop), &pass).unwrap().initial_loss;
    let mut loss = |samples: &[u32], round, amount| {
        trainer.loss(&LocalClient { round: Round(round), ..client(samples, &stop) }, &state, amount).unwrap()
    };
    assert_eq!([loss(&samples, 3, 0), loss(&samples, 3, 40), loss(&samples, 3, 99)], [expected; 3]);
    // Of each single sample, for the mean of three.
    let each: Vec<f64> = samples.iter().map(|sample| loss(&[*sample], 3, 0)).collect();
    let drawn = loss(&samples, 3, 3);
    let is_mean = |one: usize, two: usize, three: usize| (each[one] + each[two] + each[three] - 3.0 * drawn).abs() < 1e-5;
    let places = (0..40).flat_map(|one| (0..one).flat_map(move |two| (0..two).map(move |three| (one, two, three))));
    assert!(places.into_iter().any(|(one, two, three)| is_mean(one, two, three)), "{drawn} of {each:?}");
    assert_eq!(loss(&samples, 3, 3), drawn, "the same draw");
    assert_ne!(loss(&samples, 4, 3), drawn, "another draw in another round");
}
