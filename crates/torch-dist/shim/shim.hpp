// Shared by the parts of the shim: the handling of errors at the border, and the handles that Rust holds.
//
// Every function that Rust calls is wrapped in `guard`, so that no exception leaves it. Such a function returns the error's text (to be
// freed with td_string_free) or null, and gives results through pointers.
#pragma once

#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
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

struct TdGroup {
  // The backend, gloo or NCCL.
  c10::intrusive_ptr<c10d::Backend> backend;
  // The form that the reducer needs: the group with its backend for tensors on its device.
  c10::intrusive_ptr<c10d::ProcessGroup> group;
  // The GPU, or -1 for the CPU.
  int32_t device = -1;
  // The backends of the rank's other groups, which are given up together with this one.
  std::vector<c10::intrusive_ptr<c10d::Backend>> tied;
};

// The chain of prefixes that Python makes, so that its ranks and ours meet under the same keys. Python numbers its groups: init_process_group makes group
// 0, and new_group the others, whose keys lie below those of group 0.
struct TdGroupStores {
  std::string name;
  c10::intrusive_ptr<c10d::Store> group;
  c10::intrusive_ptr<c10d::Store> backend;
  TdGroupStores(const TdStore* store, uint32_t number, const char* device);
};

// Wraps a backend in a group.
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
