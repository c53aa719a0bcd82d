#include "shim.hpp"

#include <c10/cuda/CUDAFunctions.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

using std::chrono::milliseconds;

extern "C" {

char* td_group_nccl(const TdStore* store, int32_t rank, int32_t size, int64_t timeout_ms, int32_t device, TdGroup** group) {
  return guard([&] {
    const auto num_devices = c10::cuda::device_count();
    if (device < 0 || device >= num_devices) {
      throw std::invalid_argument("there is no GPU " + std::to_string(device) + ": CUDA finds " + std::to_string(num_devices));
    }
    // Else wait() returns at once, and a watchdog thread ends the process when a collective fails.
    setenv("TORCH_NCCL_BLOCKING_WAIT", "1", /*overwrite=*/0);
    c10::cuda::set_device(static_cast<c10::DeviceIndex>(device));
    TdGroupStores stores(store, "cuda");
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = milliseconds(timeout_ms);
    for (int32_t i = 0; i < size; i++) options->global_ranks_in_group.push_back(i);
    options->group_name = "0";
    auto nccl = c10::make_intrusive<c10d::ProcessGroupNCCL>(stores.backend, rank, size, options);
    *group = td_group_of(stores, nccl, c10::DeviceType::CUDA, c10d::ProcessGroup::BackendType::NCCL, device);
  });
}
}
