// What the parts of the shim share: errors that stop at the border, and the handles that Rust holds.
//
// Every function that Rust calls is wrapped in `guard`: no exception leaves it. It returns the error's text (to be freed with
// td_string_free) or null, and gives results through pointers.
#pragma once

#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

struct TdStore {
  c10::intrusive_ptr<c10d::Store> store;
};

// A ProcessGroupGloo that can be called from several threads, as a backward pass on another thread does, and that can hang up.
class TdGloo : public c10d::ProcessGroupGloo {
 public:
  using Base = c10d::ProcessGroupGloo;
  using Work = c10::intrusive_ptr<c10d::Work>;
  using Tensors = std::vector<at::Tensor>;
  using Base::Base;

  // These only hand work to threads of the group, but number it with plain counters.
  Work allreduce(Tensors& tensors, const c10d::AllreduceOptions& options = c10d::AllreduceOptions()) override {
    return locked([&] { return Base::allreduce(tensors, options); });
  }
  Work broadcast(Tensors& tensors, const c10d::BroadcastOptions& options = c10d::BroadcastOptions()) override {
    return locked([&] { return Base::broadcast(tensors, options); });
  }
  Work allgather(std::vector<Tensors>& outputs, Tensors& inputs, const c10d::AllgatherOptions& options = c10d::AllgatherOptions()) override {
    return locked([&] { return Base::allgather(outputs, inputs, options); });
  }
  Work send(Tensors& tensors, int to, int tag) override {
    return locked([&] { return Base::send(tensors, to, tag); });
  }
  Work recv(Tensors& tensors, int from, int tag) override {
    return locked([&] { return Base::recv(tensors, from, tag); });
  }
  Work barrier(const c10d::BarrierOptions& options = c10d::BarrierOptions()) override {
    return locked([&] { return Base::barrier(options); });
  }

  // Closes the connections to the other ranks: gloo has no other way to end what they wait for from this one.
  void hang_up() {
    for (auto& context : contexts_) context->closeConnections();
  }

 private:
  template <typename Body>
  Work locked(Body&& body) {
    std::lock_guard<std::recursive_mutex> guard(mutex_);
    return body();
  }

  // Recursive: gloo builds some of these on others.
  std::recursive_mutex mutex_;
};

struct TdGroup {
  // Gloo or NCCL.
  c10::intrusive_ptr<c10d::Backend> backend;
  // What the reducer wants: the group with its backend for tensors on its device.
  c10::intrusive_ptr<c10d::ProcessGroup> group;
  // The GPU, or -1 for the CPU.
  int32_t device = -1;
};

// The chain of prefixes that Python's init_process_group makes, so that its ranks and ours meet under the same keys.
struct TdGroupStores {
  c10::intrusive_ptr<c10d::Store> group;
  c10::intrusive_ptr<c10d::Store> backend;
  TdGroupStores(const TdStore* store, const char* device);
};

// The group around a backend.
TdGroup* td_group_of(const TdGroupStores& stores, c10::intrusive_ptr<c10d::Backend> backend, c10::DeviceType device_type,
                     c10d::ProcessGroup::BackendType backend_type, int32_t device);

// A copy for Rust, to be freed with td_string_free. Never null.
char* td_copy(const char* text) noexcept;
extern "C" void td_string_free(char* text);

template <typename Body>
char* guard(Body&& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const c10::Error& error) {
    return td_copy(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return td_copy(error.what());
  } catch (...) {
    return td_copy("an exception of unknown type");
  }
}
