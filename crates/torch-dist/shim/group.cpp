#include "gloo.hpp"
#include "shim.hpp"

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

using std::chrono::milliseconds;

namespace {

c10d::ReduceOp reduce_op(int32_t op) {
  switch (op) {
    case 0: return c10d::ReduceOp::SUM;
    case 1: return c10d::ReduceOp::MIN;
    case 2: return c10d::ReduceOp::MAX;
    case 3: return c10d::ReduceOp::PRODUCT;
    default: throw std::invalid_argument("unknown reduction");
  }
}

std::vector<at::Tensor> tensors_of(at::Tensor* const* tensors, size_t num_tensors) {
  std::vector<at::Tensor> list;
  list.reserve(num_tensors);
  for (size_t i = 0; i < num_tensors; i++) list.push_back(*tensors[i]);
  return list;
}

// Ends what other ranks wait for from this one.
void hang_up(c10d::Backend& backend) {
  auto* gloo = dynamic_cast<TdGloo*>(&backend);
  if (gloo != nullptr) gloo->hang_up();
  else backend.abort();
}

}  // namespace

TdGroupStores::TdGroupStores(const TdStore* store, uint32_t number, const char* device) : name(std::to_string(number)) {
  auto base = c10::make_intrusive<c10d::PrefixStore>("default_pg", store->store);
  group = c10::make_intrusive<c10d::PrefixStore>("0/", base);
  if (number > 0) group = c10::make_intrusive<c10d::PrefixStore>(name + "/", group);
  backend = c10::make_intrusive<c10d::PrefixStore>(std::string(device) + "/", group);
}

TdGroup* td_group_of(const TdGroupStores& stores, c10::intrusive_ptr<c10d::Backend> backend, c10::DeviceType device_type,
                     c10d::ProcessGroup::BackendType backend_type, int32_t device) {
  backend->setSequenceNumberForGroup();
  auto made = std::make_unique<TdGroup>();
  made->group = c10::make_intrusive<c10d::ProcessGroup>(stores.group, backend->getRank(), backend->getSize());
  made->group->setBackend(device_type, backend_type, backend);
  made->group->setDefaultBackend(backend_type);
  made->group->setGroupName(stores.name);
  made->backend = std::move(backend);
  made->device = device;
  return made.release();
}

extern "C" {

// `device_kind`: 0 is PyTorch's default, 1 the interfaces named in `devices`, 2 the host name or address in `devices[0]`.
char* td_group_gloo(const TdStore* store, uint32_t number, int32_t rank, int32_t size, int64_t timeout_ms, int32_t device_kind,
                    const char* const* devices, size_t num_devices, TdGroup** group) {
  return guard([&] {
    TdGroupStores stores(store, number, "cpu");
    auto options = c10d::ProcessGroupGloo::Options::create(milliseconds(timeout_ms));
    if (device_kind == 1) {
      for (size_t i = 0; i < num_devices; i++) options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface(devices[i]));
    } else if (device_kind == 2) {
      options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(devices[0]));
    } else {
      options->devices.push_back(c10d::ProcessGroupGloo::createDefaultDevice());
    }
    // Python also uses two threads for each device.
    options->threads = static_cast<int>(options->devices.size()) * 2;
    for (int32_t i = 0; i < size; i++) options->global_ranks_in_group.push_back(i);
    options->group_name = stores.name;

    auto gloo = c10::make_intrusive<TdGloo>(stores.backend, rank, size, options);
    *group = td_group_of(stores, gloo, c10::DeviceType::CPU, c10d::ProcessGroup::BackendType::GLOO, -1);
  });
}

// Two groups of the same ranks: giving up one gives up the other.
char* td_group_tie(TdGroup* one, TdGroup* other) {
  return guard([&] {
    one->tied.push_back(other->backend);
    other->tied.push_back(one->backend);
  });
}

char* td_group_set_timeout(TdGroup* group, int64_t timeout_ms) {
  return guard([&] { group->backend->setTimeout(milliseconds(timeout_ms)); });
}

char* td_group_all_reduce(TdGroup* group, at::Tensor* tensor, int32_t op) {
  return guard([&] {
    c10d::AllreduceOptions options;
    options.reduceOp = reduce_op(op);
    std::vector<at::Tensor> tensors{*tensor};
    group->backend->allreduce(tensors, options)->wait();
  });
}

char* td_group_broadcast(TdGroup* group, at::Tensor* tensor, int32_t root) {
  return guard([&] {
    c10d::BroadcastOptions options;
    options.rootRank = root;
    std::vector<at::Tensor> tensors{*tensor};
    group->backend->broadcast(tensors, options)->wait();
  });
}

// `outputs`: one tensor like `input` for each rank.
char* td_group_all_gather(TdGroup* group, at::Tensor* const* outputs, size_t num_outputs, at::Tensor* input) {
  return guard([&] {
    std::vector<std::vector<at::Tensor>> lists{tensors_of(outputs, num_outputs)};
    std::vector<at::Tensor> inputs{*input};
    group->backend->allgather(lists, inputs)->wait();
  });
}

// `inputs`: one tensor like `output` for each rank.
char* td_group_reduce_scatter(TdGroup* group, at::Tensor* output, at::Tensor* const* inputs, size_t num_inputs, int32_t op) {
  return guard([&] {
    c10d::ReduceScatterOptions options;
    options.reduceOp = reduce_op(op);
    std::vector<at::Tensor> outputs{*output};
    std::vector<std::vector<at::Tensor>> lists{tensors_of(inputs, num_inputs)};
    group->backend->reduce_scatter(outputs, lists, options)->wait();
  });
}

char* td_group_send(TdGroup* group, at::Tensor* tensor, int32_t to, int32_t tag) {
  return guard([&] {
    std::vector<at::Tensor> tensors{*tensor};
    group->backend->send(tensors, to, tag)->wait();
  });
}

char* td_group_recv(TdGroup* group, at::Tensor* tensor, int32_t from, int32_t tag) {
  return guard([&] {
    std::vector<at::Tensor> tensors{*tensor};
    group->backend->recv(tensors, from, tag)->wait();
  });
}

char* td_group_barrier(TdGroup* group) {
  return guard([&] {
    c10d::BarrierOptions options;
    if (group->device >= 0) options.device_ids = {group->device};
    group->backend->barrier(options)->wait();
  });
}

char* td_group_hang_up(TdGroup* group) {
  return guard([&] {
    for (const auto& backend : group->tied) td_string_free(guard([&] { hang_up(*backend); }));
    hang_up(*group->backend);
  });
}

void td_group_free(TdGroup* group) {
  td_string_free(guard([&] { delete group; }));
}
}
