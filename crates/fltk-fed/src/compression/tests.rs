use proptest::prelude::*;

use super::*;

const FORMS: [&str; 3] = ["fp16", "int8", "top_k"];

/// The floats of the model, of which the last is a buffer.
const NUM_FLOATS: usize = 9;
const NUM_PARAMETERS: usize = NUM_FLOATS - 1;

/// A net with a weight of 5 numbers, a bias of 3, a buffer of 1, and a counter between them.
fn model(floats: [f32; NUM_FLOATS], counter: i64) -> ModelState {
    let spec = |name: &str, shape: &[usize], role| TensorSpec { name: name.to_owned(), shape: shape.to_vec(), role };
    let layout = vec![
        spec("weight", &[5, 1], TensorRole::Parameter),
        spec("num_batches_tracked", &[], TensorRole::Counter),
        spec("running_var", &[1], TensorRole::Buffer),
        spec("bias", &[3], TensorRole::Parameter),
    ];
    // The buffer is the sixth float.
    let [a, b, c, d, e, f, g, h, buffer] = floats;
    ModelState { layout: Arc::new(layout), floats: vec![a, b, c, d, e, buffer, f, g, h], counters: vec![counter] }
}

fn zeros() -> ModelState {
    model([0.0; NUM_FLOATS], 0)
}

fn form(name: &str) -> Compression {
    // Two of eight.
    let settings = if name == "top_k" { Choice::new(name).with("fraction", 0.25) } else { Choice::new(name) };
    of(settings)
}

fn of(settings: Choice) -> Compression {
    let config = FederatedConfig { compression: Some(settings), ..FederatedConfig::new(10, 1, 1) };
    Compression::of(&config).expect("it is in the catalogue").expect("it was given")
}

/// The result for client 3 in round 1 with seed 42.
fn encoded(compression: &Compression, base: &ModelState, update: &ModelState, residual: Option<Vec<f32>>) -> (Encoded, Option<Vec<f32>>) {
    compression.encode(base, update, residual, (Seed(42), ClientId(3), Round(1))).expect("it fits")
}

fn bits(floats: &[f32]) -> Vec<u32> {
    floats.iter().map(|value| value.to_bits()).collect()
}

/// Checks what becomes of an update that started from `base`, at both sides.
fn check(name: &str, base: [f32; NUM_FLOATS], update: [f32; NUM_FLOATS], expected: [f32; NUM_FLOATS]) {
    let (base, update, compression) = (model(base, 4), model(update, 7), form(name));
    let (encoded, _) = encoded(&compression, &base, &update, None);
    assert_eq!(compression.decode(&base, encoded, update.counters).expect("it fits"), model(expected, 7), "{name}");
}

#[test]
fn updates_are_those_worked_out_by_hand() {
    let base = [1.0, 2.0, 0.0, -1.0, 0.5, 10.0, 0.0, 1.0, 5.0];
    let update = [1.5, 2.0, 0.1, -3.0, 0.5, 9.0, 0.25, 1.001, 5.123];
    // 0.1 is 1638.4 / 2^14 and becomes 1638 / 2^14. 1.001 - 1 is 8389 / 2^23 in f32: with 10 bits after the first, 2^-10 (1 + 24.6 / 1024) becomes 2^-10 (1 + 25 / 1024).
    // Buffers travel as they are.
    let tenth = 1638.0 / 16384.0;
    check("fp16", base, update, [1.5, 2.0, tenth, -3.0, 0.5, 9.0, 0.25, 1.0 + 1049.0 / 1_048_576.0, 5.123]);
    // The draws for client 3 in round 1 are 0.959, 0.454, 0.190, 0.973, 0.680 for its five (worked out with another ChaCha8 and SHA-256). The weight's scale is 0.5:
    // 0.25 is half a step and becomes 1, 0.1 is 0.2 steps and becomes 0, and -0.3 is -0.6 steps, becomes 0. -63.5 is -127 steps.
    let update = [0.25, 0.0, 0.1, -63.5, -0.3, 127.0, -64.0, 0.0, 0.3];
    check("int8", [0.0; NUM_FLOATS], update, [0.5, 0.0, 0.0, -63.5, 0.0, 127.0, -64.0, 0.0, 0.3]);
    // The differences are 0.5, 0, 0.1, -2, 0, -1, 0.25, 0.001.
    let update = [1.5, 2.0, 0.1, -3.0, 0.5, 9.0, 0.25, 1.001, 5.123];
    check("top_k", base, update, [1.0, 2.0, 0.0, -3.0, 0.5, 9.0, 0.0, 1.0, 5.123]);
}

#[test]
fn what_top_k_does_not_send_is_sent_later() {
    let (base, compression) = (zeros(), form("top_k"));
    let update = model([1.0, -4.0, 0.5, 2.0, 0.0, 1.5, 0.0, 0.0, 0.0], 0);
    let mut sum = zeros();
    let mut residual = None;
    // The client sends the same difference three times.
    let rounds: [(&[u32], &[f32], [f32; NUM_PARAMETERS]); 3] = [
        (&[1, 3], &[-4.0, 2.0], [1.0, 0.0, 0.5, 0.0, 0.0, 1.5, 0.0, 0.0]),
        // 2, -4, 1, 2, 0, 3, 0, 0.
        (&[1, 5], &[-4.0, 3.0], [2.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0]),
        // 3, -4, 1.5, 4, 0, 1.5, 0, 0: both of 4.
        (&[1, 3], &[-4.0, 4.0], [3.0, 0.0, 1.5, 0.0, 0.0, 1.5, 0.0, 0.0]),
    ];
    for (indices, values, left) in rounds {
        let (encoded, kept) = encoded(&compression, &base, &update, residual.take());
        assert_eq!((&encoded.indices["indices"][..], &encoded.floats["values"][..]), (indices, values));
        assert_eq!(kept.as_deref(), Some(&left[..]));
        residual = kept;
        sum = compression.decode(&sum, encoded, vec![0]).expect("it fits");
    }
    // All that was trained is there or is kept.
    let residual = residual.expect("top-k keeps one");
    let parameters = |state: &ModelState| -> Vec<f32> { [&state.floats[..5], &state.floats[6..]].concat() };
    let total: Vec<f32> = parameters(&sum).iter().zip(residual).map(|(sum, left)| sum + left).collect();
    assert_eq!(total, parameters(&update).iter().map(|value| 3.0 * value).collect::<Vec<_>>());
}

#[test]
fn sizes_are_what_the_compression_promises() {
    let spec = |(index, (len, role)): (usize, (usize, TensorRole))| TensorSpec { name: format!("{index}"), shape: vec![len], role };
    let of_role = [
        (600, TensorRole::Parameter),
        (300, TensorRole::Parameter),
        (100, TensorRole::Parameter),
        (7, TensorRole::Buffer),
        (2, TensorRole::Counter),
    ];
    let layout = Arc::new(of_role.into_iter().enumerate().map(spec).collect::<Vec<_>>());
    let base = ModelState { layout, floats: vec![0.0; 1007], counters: vec![0; 2] };
    let update = ModelState { floats: vec![1.0; 1007], ..base.clone() };
    let top_k = Choice::new("top_k").with("fraction", 0.01);
    for (settings, expected) in [(Choice::new("fp16"), 2000), (Choice::new("int8"), 1000 + 3 * 4), (top_k, 10 * 8)] {
        let compression = of(settings);
        let (Encoded { floats, bytes, indices }, _) = encoded(&compression, &base, &update, None);
        let (floats, bytes): (usize, usize) = (floats.values().map(Vec::len).sum(), bytes.values().map(Vec::len).sum());
        let sent = 4 * (floats + indices.values().map(Vec::len).sum::<usize>()) + bytes;
        assert_eq!(sent, expected + 7 * 4, "{compression:?}");
        assert_eq!(compression.num_bytes(&base.layout), sent as u64 + 2 * 8, "{compression:?}");
    }
}

#[test]
fn int8_is_right_on_average() {
    let compression = form("int8");
    // A scale of 1; fractions of a step of all sizes, in both directions.
    let update = model([127.0, 0.5, 0.25, -0.25, -3.9, 127.0, 2.1, 0.0, 0.0], 0);
    let num_seeds = 4000_u32;
    let mut sums = [0.0_f64; NUM_FLOATS];
    for seed in 0..num_seeds {
        let (encoded, _) = compression.encode(&zeros(), &update, None, (Seed(seed.into()), ClientId(3), Round(1))).expect("it fits");
        let model = compression.decode(&zeros(), encoded, vec![0]).expect("it fits");
        for ((sum, value), update) in sums.iter_mut().zip(&model.floats).zip(&update.floats) {
            assert!((value - update).abs() < 1.0, "{value} is a scale or more from {update}");
            *sum += f64::from(*value);
        }
    }
    // Five standard deviations of the mean of such numbers, which is at most half a step for one of them. Rounding to nearest would be off by 0.25 at the third.
    let bound = 5.0 * 0.5 / f64::from(num_seeds).sqrt();
    for (sum, update) in sums.iter().zip(&update.floats) {
        let mean = sum / f64::from(num_seeds);
        assert!((mean - f64::from(*update)).abs() < bound, "the mean is {mean}, and {update} was sent");
    }
}

#[test]
fn int8_is_a_function_of_seed_client_and_round() {
    let update = model([127.0, 0.5, 0.5, 0.5, 0.5, 127.0, 0.5, 0.0, 0.0], 0);
    let of = |name: &str, seed: u32, client, round| {
        form(name).encode(&zeros(), &update, None, (Seed(seed.into()), ClientId(client), Round(round))).expect("it fits")
    };
    // With as few draws, some of these are equal by chance; not all of them.
    let differs = |of: &dyn Fn(u32) -> (Encoded, Option<Vec<f32>>)| (0..20).any(|index| of(index) != of(20));
    assert!(differs(&|seed| of("int8", seed, 3, 1)));
    assert!(differs(&|client| of("int8", 42, client, 1)));
    assert!(differs(&|round| of("int8", 42, 3, round)));
    assert_eq!(of("int8", 42, 3, 1), of("int8", 42, 3, 1));
    // No other compression draws anything.
    for name in ["fp16", "top_k"] {
        assert_eq!(of(name, 42, 3, 1), of(name, 43, 4, 2));
    }
}

#[test]
fn what_is_not_finite_is_not_hidden() {
    let mut infinite = [0.0; NUM_FLOATS];
    infinite[6] = f32::INFINITY;
    let mut not_a_number = [1.0; NUM_FLOATS];
    not_a_number[2] = f32::NAN;
    let mut buffer = [1.0; NUM_FLOATS];
    buffer[8] = f32::NAN;
    // Both are finite, and their difference isn't.
    let (mut base, mut update) = ([0.0; NUM_FLOATS], [0.0; NUM_FLOATS]);
    (base[7], update[7]) = (f32::MIN, f32::MAX);
    for name in FORMS {
        let compression = form(name);
        for (base, update) in [(zeros(), infinite), (zeros(), not_a_number), (zeros(), buffer), (model(base, 0), update)] {
            let (encoded, _) = encoded(&compression, &base, &model(update, 0), None);
            let model = compression.decode(&base, encoded, vec![0]).expect("what it says is found in the model");
            assert!(crate::state_check::check_state(&model).is_err(), "{name}, {update:?}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (base, update) = (zeros(), model([1.0; NUM_FLOATS], 0));
    let short = ModelState { floats: vec![0.0; 3], ..base.clone() };
    let without = ModelState { counters: vec![], ..base.clone() };
    let other = ModelState { layout: Arc::new(base.layout[..1].to_vec()), floats: vec![0.0; 5], counters: vec![] };
    for name in FORMS {
        let compression = form(name);
        for (base, update) in [(&short, &update), (&base, &short), (&base, &without), (&other, &update)] {
            let outcome = compression.encode(base, update, None, (Seed(42), ClientId(3), Round(1)));
            assert!(matches!(outcome, Err(Misfit::Length { .. })), "{name}");
        }
        for base in [&short, &other] {
            let (encoded, _) = encoded(&compression, &zeros(), &update, None);
            assert!(compression.decode(base, encoded, vec![0]).is_err(), "{name}");
        }
    }
    let outcome = form("top_k").encode(&base, &update, Some(vec![0.0; 3]), (Seed(42), ClientId(3), Round(1)));
    assert_eq!(outcome, Err(Misfit::Length { name: RESIDUAL.to_owned(), found: 3, expected: NUM_PARAMETERS }));
}

#[test]
fn numbers_that_no_encoder_makes_are_refused() {
    let update = model([127.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 5);
    let check = |name: &str, change: &dyn Fn(&mut Encoded), expected: &str| {
        let compression = form(name);
        let (mut encoded, _) = encoded(&compression, &zeros(), &update, None);
        change(&mut encoded);
        let problem = compression.decode(&zeros(), encoded, vec![5]).expect_err(expected);
        assert_eq!(problem.to_string(), expected, "{name}");
    };
    let scale = |scale: f32| move |encoded: &mut Encoded| encoded.floats.get_mut("scales").expect("it is there")[1] = scale;
    let indices =
        |indices: &'static [u32]| move |encoded: &mut Encoded| drop(encoded.indices.insert("indices".to_owned(), indices.to_vec()));
    let octets = |name: &'static str, len: usize| move |encoded: &mut Encoded| drop(encoded.bytes.insert(name.to_owned(), vec![0; len]));
    let floats = |name: &'static str, len: usize| move |encoded: &mut Encoded| drop(encoded.floats.insert(name.to_owned(), vec![0.0; len]));
    for name in FORMS {
        check(name, &|encoded| drop(encoded.floats.remove("buffers")), "its buffers are missing");
        check(name, &floats("buffers", 2), "its buffers have 2 elements, and should have 1");
        check(name, &floats("more", 1), "it has `more`, which nobody asked for");
    }
    check("fp16", &|encoded| encoded.bytes.clear(), "its fp16 are missing");
    check("fp16", &octets("fp16", 15), "its fp16 have 15 elements, and should have 16");
    check("int8", &octets("int8", 9), "its int8 have 9 elements, and should have 8");
    check("int8", &floats("scales", 4), "its scales have 4 elements, and should have 2");
    check("int8", &scale(-1.0), "it has the scale -1");
    check("int8", &scale(f32::NAN), "it has the scale NaN");
    check("int8", &scale(f32::INFINITY), "it has the scale inf");
    check("top_k", &|encoded| encoded.indices.clear(), "its indices are missing");
    check("top_k", &floats("values", 3), "its values have 3 elements, and should have 2");
    check("top_k", &indices(&[1, 2, 3]), "its indices have 3 elements, and should have 2");
    for wrong in [&[2, 1], &[1, 1], &[1, 8], &[0, u32::MAX]] {
        check("top_k", &indices(wrong), "its indices don't ascend within 8");
    }
    // An update that is compressed in another way isn't one.
    for sent_as in FORMS {
        for expected in FORMS.into_iter().filter(|expected| *expected != sent_as) {
            let (encoded, _) = encoded(&form(sent_as), &zeros(), &update, None);
            assert!(form(expected).decode(&zeros(), encoded, vec![5]).is_err(), "{sent_as} as {expected}");
        }
    }
    let (encoded, _) = encoded(&form("fp16"), &zeros(), &update, None);
    assert!(form("fp16").decode(&zeros(), encoded, vec![]).is_err(), "without counters");
}

#[test]
fn a_net_without_floats_has_nothing_to_compress() {
    let base = ModelState { layout: Arc::default(), floats: vec![], counters: vec![] };
    for name in FORMS {
        let (encoded, _) = encoded(&form(name), &base, &base, None);
        assert_eq!(form(name).decode(&base, encoded, vec![]), Ok(base.clone()), "{name}");
    }
}

#[test]
fn the_servers_own_training_is_not_compressed() {
    let compression = form("top_k");
    assert!(compression.applies_to(ClientId(9)) && !compression.applies_to(ClientId(10)));
}

fn any_form() -> impl Strategy<Value = Compression> {
    let top_k = (0.0001_f64..1.0).prop_map(|fraction| of(Choice::new("top_k").with("fraction", fraction)));
    prop_oneof![Just(form("fp16")), Just(form("int8")), top_k]
}

/// Numbers of all sizes, or any bits at all.
fn any_floats() -> impl Strategy<Value = [f32; NUM_FLOATS]> {
    let usual = proptest::array::uniform9(-1.0_f32..1.0);
    prop_oneof![usual, proptest::array::uniform9(proptest::num::f32::ANY)]
}

proptest! {
    #[test]
    fn it_is_a_function_of_its_input_and_hides_nothing(
        compression in any_form(),
        base in proptest::array::uniform9(-10.0_f32..10.0),
        update in any_floats(),
        residual in proptest::option::of(proptest::array::uniform8(-1.0_f32..1.0)),
        seed in any::<u64>(),
    ) {
        let (base, update) = (model(base, 0), model(update, 1));
        let residual = residual.map(|residual| residual.to_vec());
        let of = || {
            let (encoded, kept) = compression.encode(&base, &update, residual.clone(), (Seed(seed), ClientId(3), Round(1))).expect("it fits");
            (compression.decode(&base, encoded, vec![1]).expect("it fits"), kept)
        };
        let ((state, kept), (again, kept_again)) = (of(), of());
        prop_assert_eq!(bits(&state.floats), bits(&again.floats));
        prop_assert_eq!(kept.map(|kept| bits(&kept)), kept_again.map(|kept| bits(&kept)));
        if update.floats.iter().any(|value| !value.is_finite()) {
            prop_assert!(state.floats.iter().any(|value| !value.is_finite()));
        }
    }

    #[test]
    fn sent_and_residual_are_the_corrected_difference(
        fraction in 0.0001_f64..1.0,
        base in proptest::array::uniform9(-1.0_f32..1.0),
        update in proptest::array::uniform9(-1.0_f32..1.0),
        residual in proptest::array::uniform8(-1.0_f32..1.0),
    ) {
        let (base, update) = (model(base, 0), model(update, 0));
        let (encoded, kept) = encoded(&of(Choice::new("top_k").with("fraction", fraction)), &base, &update, Some(residual.to_vec()));
        let mut sum = kept.expect("top-k keeps one");
        for (index, value) in encoded.indices["indices"].iter().zip(&encoded.floats["values"]) {
            prop_assert_eq!(sum[*index as usize].to_bits(), 0);
            sum[*index as usize] = *value;
        }
        let parameters = [0, 1, 2, 3, 4, 6, 7, 8].into_iter().zip(residual);
        let corrected: Vec<f32> = parameters.map(|(place, residual)| residual + (update.floats[place] - base.floats[place])).collect();
        prop_assert_eq!(sum, corrected);
    }

    #[test]
    fn nothing_that_a_node_can_send_makes_a_federator_panic(
        compression in any_form(),
        floats in proptest::collection::vec(proptest::num::f32::ANY, 0..10),
        octets in proptest::collection::vec(any::<u8>(), 0..20),
        indices in proptest::collection::vec(0_u32..10, 0..10),
        which in 0_u8..32,
        counters in proptest::collection::vec(any::<i64>(), 0..3),
    ) {
        let base = model([1.0; NUM_FLOATS], 0);
        // Parts of what an encoder makes are others.
        let (mut encoded, _) = encoded(&compression, &base, &base, None);
        for (bit, values) in encoded.floats.values_mut().enumerate().filter(|(bit, _)| which >> bit & 1 == 1) {
            *values = if bit == 0 { floats.clone() } else { vec![floats.first().copied().unwrap_or_default(); values.len()] };
        }
        if which & 4 != 0 {
            encoded.bytes.values_mut().for_each(|values| *values = octets.iter().copied().cycle().take(values.len()).collect());
        }
        if which & 8 != 0 {
            encoded.bytes.values_mut().for_each(|values| values.clone_from(&octets));
        }
        if which & 16 != 0 {
            encoded.indices.values_mut().for_each(|values| values.clone_from(&indices));
        }
        if let Ok(model) = compression.decode(&base, encoded, counters) {
            prop_assert_eq!((model.floats.len(), model.counters.len()), (NUM_FLOATS, 1));
        }
    }
}
