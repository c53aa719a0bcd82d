//! The loss of a batch and its gradients by the parameters: by autograd, or in closed form for a perceptron.
//!
//! On a small net, autograd's graph takes as long as the arithmetic or longer. The closed form runs the operations that autograd would run, in
//! its order, and so gives the same bits. Passes that train some tensors only or add a contrast, and several ranks, have autograd.

use rand_chacha::ChaCha8Rng;
use tch::{Kind, Reduction, TchError, Tensor};

use crate::{
    Model, TrainError,
    layers::Linear,
    losses::{self, Loss},
};

/// Returns the loss of a batch in training mode, its mean or sum over samples, and its gradient by each parameter in the layout's order: undefined for one that plays no
/// part in it. `dropout` draws the masks; `None` switches dropout off.
pub(crate) fn of_batch(
    model: &mut Model,
    inputs: Tensor,
    targets: &Tensor,
    loss: Loss,
    reduction: Reduction,
    dropout: Option<&mut ChaCha8Rng>,
) -> Result<(f64, Vec<Tensor>), TrainError> {
    if let (Some(layers), Some(of_logits)) = (model.perceptron(), loss.gradient()) {
        model.check_input(&inputs)?;
        return Ok(of_perceptron(model, layers, &inputs, |logits| of_logits(logits, targets, reduction))?);
    }
    let logits = losses::rows(&model.forward_training(inputs, dropout, None)?)?;
    let loss = loss.of(&logits, targets, reduction)?;
    let value = loss.f_double_value(&[])?;
    let parameters: Vec<&Tensor> = model.parameters().collect();
    Ok((value, Tensor::f_run_backward(&[loss], &parameters, false, false)?))
}

/// Returns what [`of_batch`] does, for `layers` with a ReLU between any two of them, and a loss by its value and gradient at the logits.
fn of_perceptron(
    model: &Model,
    layers: &[Linear],
    inputs: &Tensor,
    of_logits: impl FnOnce(&Tensor) -> Result<(f64, Tensor), TchError>,
) -> Result<(f64, Vec<Tensor>), TchError> {
    let _no_grad = tch::no_grad_guard();
    // What each layer reads, and at the end the logits.
    let mut values = Vec::with_capacity(layers.len() + 1);
    values.push(inputs.f_flatten(1, -1)?);
    for (index, layer) in layers.iter().enumerate() {
        let mut output = values[index].f_linear(model.tensor(layer.weight()), Some(model.tensor(layer.bias())))?;
        if index + 1 < layers.len() {
            let _ = output.f_relu_()?;
        }
        values.push(output);
    }
    let (loss, mut gradient) = of_logits(&values[layers.len()])?;
    let mut gradients = Vec::with_capacity(2 * layers.len());
    for (index, layer) in layers.iter().enumerate().rev() {
        gradients.push(gradient.f_sum_dim_intlist([0_i64].as_slice(), false, Kind::Float)?);
        gradients.push(gradient.f_tr()?.f_mm(&values[index])?);
        if index > 0 {
            gradient = values[index].f_threshold_backward(&gradient.f_mm(model.tensor(layer.weight()))?, 0.0)?;
        }
    }
    gradients.reverse();
    Ok((loss, gradients))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fltk_core::{catalogue::Choice, experiment::NetworkConfig, seed::Seed};
    use tch::Device;

    use super::*;
    use crate::nets::InputShape;

    /// The value and the gradients, as autograd computes them.
    fn by_autograd(model: &mut Model, inputs: Tensor, targets: &Tensor, loss: Loss, reduction: Reduction) -> (f64, Vec<Tensor>) {
        let loss = loss.of(&model.forward_training(inputs, None, None).unwrap(), targets, reduction).unwrap();
        let parameters: Vec<&Tensor> = model.parameters().collect();
        let value = loss.double_value(&[]);
        (value, Tensor::run_backward(&[loss], &parameters, false, false))
    }

    #[test]
    fn the_closed_form_has_the_bits_of_autograd() {
        crate::init(1);
        let mlp =
            |hidden: &[u32]| NetworkConfig::Block { key: "network".to_owned(), net: Choice::new("MLP").with("hidden", hidden.to_vec()) };
        let nets =
            [NetworkConfig::named("LogisticRegression"), NetworkConfig::named("McMahan2NN"), mlp(&[]), mlp(&[1]), mlp(&[30, 20, 10])];
        // The last are vectors, and images with channels last, as batches are.
        let shapes = [(1, [1, 28, 28]), (3, [1, 28, 28]), (64, [1, 28, 28]), (10, [60, 1, 1]), (10, [3, 8, 8])];
        for (net, (size, shape)) in nets.iter().flat_map(|net| shapes.map(|shape| (net, shape))) {
            let input = InputShape::Images { shape, classes: 10 };
            let mut model = Model::new(net, Path::new(""), input, Seed(7), Device::Cpu).unwrap();
            assert!(model.perceptron().is_some(), "{net:?}");
            tch::manual_seed(size);
            let [c, h, w] = shape.map(|side| i64::try_from(side).unwrap());
            let images = Tensor::randn([size, h, w, c], (Kind::Float, Device::Cpu)).permute([0, 3, 1, 2]);
            let targets = Tensor::randint(10, [size], (Kind::Int64, Device::Cpu));
            let sums = [("CrossEntropyLoss", Reduction::Mean), ("CrossEntropyLoss", Reduction::Sum), ("NLLLoss", Reduction::Mean)];
            for (name, reduction) in sums {
                let loss = losses::find(name).unwrap();
                assert!(loss.gradient().is_some());
                let (value, own) = of_batch(&mut model, images.shallow_clone(), &targets, loss, reduction, None).unwrap();
                let (expected, theirs) = by_autograd(&mut model, images.shallow_clone(), &targets, loss, reduction);
                assert_eq!(value.to_bits(), expected.to_bits(), "{net:?}, {size} of {shape:?}, {reduction:?}");
                assert_eq!(own.len(), theirs.len());
                assert!(own.iter().zip(&theirs).all(|(own, theirs)| own.equal(theirs)), "{net:?}, {size} of {shape:?}, {reduction:?}");
            }
        }
    }

    #[test]
    fn a_perceptron_refuses_what_its_forward_pass_refuses() {
        let input = InputShape::Images { shape: [1, 28, 28], classes: 10 };
        let net = NetworkConfig::named("LogisticRegression");
        let mut model = Model::new(&net, Path::new(""), input, Seed(7), Device::Cpu).unwrap();
        let loss = losses::find("CrossEntropyLoss").unwrap();
        let mut of = |shape: [i64; 4], target: i64| {
            let images = Tensor::zeros(shape, (Kind::Float, Device::Cpu));
            of_batch(&mut model, images, &Tensor::from_slice(&[target]), loss, Reduction::Mean, None).map(|(value, _)| value)
        };
        assert!((of([1, 1, 28, 28], 9).unwrap() - 10.0_f64.ln()).abs() < 0.2);
        assert!(matches!(of([1, 1, 28, 27], 9), Err(TrainError::Batch(_))));
        assert!(matches!(of([1, 1, 28, 28], 10), Err(TrainError::Torch(_))));
    }
}
