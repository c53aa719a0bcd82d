#include "shim.hpp"

#include <c10/cuda/CUDAFunctions.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

using std::chrono::milliseconds;

namespace {

// A ProcessGroupNCCL whose end is not the process's: its own destructor aborts the communicators, and lets the exception out if that fails.
class TdNccl : public c10d::ProcessGroupNCCL {
 public:
  using c10d::ProcessGroupNCCL::ProcessGroupNCCL;
  ~TdNccl() override {
    td_string_free(guard([&] { abort(); }));
  }
};

// Settings that libtorch takes from the environment alone. What is there already stays.
void set_unless_set(const char* name, const std::string& value) { setenv(name, value.c_str(), /*overwrite=*/0); }

}  // namespace

extern "C" {

char* td_group_nccl(const TdStore* store, int32_t rank, int32_t size, int64_t timeout_ms, int32_t device, TdGroup** group) {
  return guard([&] {
    const auto num_devices = c10::cuda::device_count();
    if (device < 0 || device >= num_devices) {
      throw std::invalid_argument("there is no GPU " + std::to_string(device) + ": CUDA finds " + std::to_string(num_devices));
    }
    // Else wait() returns at once, and a watchdog thread ends the process when a collective fails.
    set_unless_set("TORCH_NCCL_BLOCKING_WAIT", "1");
    // Else NCCL waits without end for a rank that doesn't come. The limit is read once in a process, in whole seconds.
    set_unless_set("TORCH_NCCL_USE_COMM_NONBLOCKING", "1");
    set_unless_set("TORCH_NCCL_NONBLOCKING_TIMEOUT", std::to_string((timeout_ms + 999) / 1000));
    // Of this thread, for connecting; collectives go by their tensors' device.
    c10::cuda::set_device(static_cast<c10::DeviceIndex>(device));
    TdGroupStores stores(store, "cuda");
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = milliseconds(timeout_ms);
    for (int32_t i = 0; i < size; i++) options->global_ranks_in_group.push_back(i);
    options->group_name = "0";
    auto nccl = c10::make_intrusive<TdNccl>(stores.backend, rank, size, options);
    // Else ranks connect in the first collective. Asking for the communicator waits until it is ready.
    nccl->eagerConnectSingleDevice(at::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device)));
    nccl->getCommPtr();
    *group = td_group_of(stores, nccl, c10::DeviceType::CUDA, c10d::ProcessGroup::BackendType::NCCL, device);
  });
}
}
