#include "shim.hpp"

#include <c10/cuda/CUDAFunctions.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

using std::chrono::milliseconds;

namespace {

// A ProcessGroupNCCL whose destruction can't end the process: the base class's destructor aborts the communicators, and throws if that fails.
class TdNccl : public c10d::ProcessGroupNCCL {
 public:
  using c10d::ProcessGroupNCCL::ProcessGroupNCCL;
  ~TdNccl() override {
    td_string_free(guard([&] { abort(); }));
  }
};

// Sets what libtorch reads from the environment alone. A value that is already there stays.
void set_unless_set(const char* name, const std::string& value) { setenv(name, value.c_str(), /*overwrite=*/0); }

}  // namespace

extern "C" {

char* td_group_nccl(const TdStore* store, int32_t rank, int32_t size, int64_t timeout_ms, int32_t device, TdGroup** group) {
  return guard([&] {
    const auto num_devices = c10::cuda::device_count();
    if (device < 0 || device >= num_devices) {
      throw std::invalid_argument("there is no GPU " + std::to_string(device) + ": CUDA finds " + std::to_string(num_devices));
    }
    // Otherwise wait() returns at once, and a watchdog thread ends the process when a collective fails.
    set_unless_set("TORCH_NCCL_BLOCKING_WAIT", "1");
    // Otherwise NCCL waits forever for a rank that doesn't come. The limit is read once per process, in whole seconds.
    set_unless_set("TORCH_NCCL_USE_COMM_NONBLOCKING", "1");
    set_unless_set("TORCH_NCCL_NONBLOCKING_TIMEOUT", std::to_string((timeout_ms + 999) / 1000));
    // This is the current device of this thread, used for connecting; collectives use the device of their tensors.
    c10::cuda::set_device(static_cast<c10::DeviceIndex>(device));
    TdGroupStores stores(store, 0, "cuda");
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = milliseconds(timeout_ms);
    for (int32_t i = 0; i < size; i++) options->global_ranks_in_group.push_back(i);
    options->group_name = stores.name;
    auto nccl = c10::make_intrusive<TdNccl>(stores.backend, rank, size, options);
    // Otherwise ranks connect in the first collective. Asking for the communicator waits until it is ready.
    nccl->eagerConnectSingleDevice(at::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device)));
    nccl->getCommPtr();
    *group = td_group_of(stores, nccl, c10::DeviceType::CUDA, c10d::ProcessGroup::BackendType::NCCL, device);
  });
}
}
