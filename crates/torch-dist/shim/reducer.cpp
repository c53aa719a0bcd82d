#include "shim.hpp"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/comm.hpp>
#include <torch/csrc/distributed/c10d/default_comm_hooks.hpp>
#include <torch/csrc/distributed/c10d/logger.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

#include <algorithm>
#include <limits>

struct TdReducer {
  std::shared_ptr<c10d::Reducer> reducer;
  std::shared_ptr<c10d::Logger> logger;
};

namespace {

// The bytes that PyTorch sends at once when it copies parameters and buffers from rank 0.
constexpr size_t BROADCAST_BYTES = size_t(250) << 20;

// A sum over ranks that gradients flow through: the gradient of a sum is the sum of the gradients. The graph shares ownership of the group,
// so that a backward pass finds the group however long the graph lives.
class AllReduceSum : public torch::autograd::Function<AllReduceSum> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& input, c10::intrusive_ptr<c10d::Backend> backend) {
    context->saved_data["backend"] = c10::IValue::make_capsule(backend);
    return sum(*backend, input);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    auto backend = c10::static_intrusive_pointer_cast<c10d::Backend>(context->saved_data["backend"].toCapsule());
    return {sum(*backend, gradients[0]), at::Tensor()};
  }

 private:
  static at::Tensor sum(c10d::Backend& backend, const at::Tensor& input) {
    std::vector<at::Tensor> tensors{input.detach().clone(at::MemoryFormat::Contiguous)};
    backend.allreduce(tensors)->wait();
    return tensors[0];
  }
};

}  // namespace

extern "C" {

char* td_broadcast_coalesced(TdGroup* group, at::Tensor* const* tensors, size_t num_tensors, int32_t root) {
  return guard([&] {
    std::vector<at::Tensor> list;
    for (size_t i = 0; i < num_tensors; i++) list.push_back(tensors[i]->detach());
    c10d::broadcast_coalesced(group->group, list, BROADCAST_BYTES, root);
  });
}

// `hook`: 0 none, 1 half-precision gradients on the wire.
char* td_reducer_new(TdGroup* group, at::Tensor* const* tensors, size_t num_tensors, const char* const* names, int64_t bucket_bytes,
                     int64_t first_bucket_bytes, bool find_unused_parameters, int32_t hook, TdReducer** reducer) {
  return guard([&] {
    std::vector<at::Tensor> parameters;
    std::unordered_map<size_t, std::string> names_by_index;
    for (size_t i = 0; i < num_tensors; i++) {
      parameters.push_back(*tensors[i]);
      names_by_index[i] = names[i];
    }
    // From here on, this makes the same collectives in the same order as the constructor of Python's DistributedDataParallel.
    c10d::verify_params_across_processes(group->group, parameters, std::nullopt);
    std::vector<at::Tensor> detached;
    for (const auto& parameter : parameters) detached.push_back(parameter.detach());
    c10d::broadcast_coalesced(group->group, detached, BROADCAST_BYTES, 0);
    // Before the first backward pass, everything is one bucket; after it, buckets are rebuilt in the order in which gradients became ready.
    // With unused parameters, buckets are never rebuilt, so they are cut at once.
    std::vector<bool> sparse(num_tensors, false);
    std::vector<size_t> limits{std::numeric_limits<int64_t>::max()};
    if (find_unused_parameters) limits = {size_t(first_bucket_bytes), size_t(bucket_bytes)};
    auto buckets = std::get<0>(c10d::compute_bucket_assignment_by_size(parameters, limits, sparse));
    std::reverse(buckets.begin(), buckets.end());
    auto made = std::make_unique<TdReducer>();
    made->reducer = std::make_shared<c10d::Reducer>(
        std::move(parameters), std::move(buckets), group->group, std::move(sparse), bucket_bytes, find_unused_parameters,
        /*gradient_as_bucket_view=*/true, std::move(names_by_index), first_bucket_bytes, /*skip_all_reduce_unused_params=*/false,
        /*use_python_reducer=*/false, /*bucket_bytes_cap_list=*/std::vector<int64_t>{});
    made->logger = std::make_shared<c10d::Logger>(made->reducer);
    made->reducer->set_logger(made->logger);
    made->logger->set_construction_data_and_log("torch-dist", {}, -1, false, false, false);
    made->reducer->set_ddp_runtime_logging_sample_rate(1);
    if (hook == 1) made->reducer->register_builtin_comm_hook(c10d::BuiltinCommHookType::FP16_COMPRESS);
    *reducer = made.release();
  });
}

char* td_reducer_before_forward(TdReducer* reducer) {
  return guard([&] {
    reducer->reducer->prepare_for_forward();
    reducer->reducer->rebuild_buckets();
  });
}

char* td_reducer_before_backward(TdReducer* reducer, at::Tensor* const* outputs, size_t num_outputs) {
  return guard([&] {
    std::vector<at::Tensor> list;
    for (size_t i = 0; i < num_outputs; i++) list.push_back(*outputs[i]);
    reducer->reducer->prepare_for_backward(list);
  });
}

// Nanoseconds of the last step: forward, backward, communication, and the part of communication that overlapped backward.
char* td_reducer_times(TdReducer* reducer, int64_t* times) {
  return guard([&] {
    reducer->logger->set_runtime_stats_and_log();
    const auto data = reducer->logger->get_ddp_logging_data();
    const char* names[] = {"forward_compute_time", "backward_compute_time", "backward_comm_time", "backward_compute_comm_overlap_time"};
    for (size_t i = 0; i < 4; i++) {
      auto found = data.ints_map.find(names[i]);
      times[i] = found == data.ints_map.end() ? -1 : found->second;
    }
  });
}

char* td_backward(at::Tensor* loss) {
  return guard([&] { loss->backward(); });
}

char* td_all_reduce_sum_autograd(TdGroup* group, at::Tensor* input, at::Tensor** output) {
  return guard([&] { *output = new at::Tensor(AllReduceSum::apply(*input, group->backend)); });
}

void td_reducer_free(TdReducer* reducer) {
  td_string_free(guard([&] { delete reducer; }));
}
}
