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
#include <string>

struct TdStore {
  c10::intrusive_ptr<c10d::Store> store;
};

// Reaches the contexts that ProcessGroupGloo keeps to itself, to hang up on the other ranks: gloo has no other way to end a collective
// that waits for them.
class TdGloo : public c10d::ProcessGroupGloo {
 public:
  using c10d::ProcessGroupGloo::ProcessGroupGloo;
  void hang_up() {
    for (auto& context : contexts_) context->closeConnections();
  }
};

struct TdGroup {
  c10::intrusive_ptr<TdGloo> gloo;
  // What the reducer wants: the group with gloo as its backend for CPU tensors.
  c10::intrusive_ptr<c10d::ProcessGroup> group;
};

// A copy on the heap for Rust; null when there is no memory even for that.
char* td_copy(const char* text) noexcept;

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
