// ProcessGroupGloo as this crate needs it: called from several threads, able to hang up, and awake when a connection breaks.
//
// When a connection breaks, gloo fails the operations on it whose message hasn't begun. One whose message is under way, as most of a large tensor is,
// waits until its time-out. So a collective returns a future of ours, and a thread of the group fails it once it finds a connection broken.
#pragma once

#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

// Collectives that haven't ended. Shared with gloo's threads, which may outlive the group's owner.
class Pending {
 public:
  using Future = c10::ivalue::Future;
  using Clock = std::chrono::steady_clock;

  // A future that ends as `inner` does, or when `self` fails.
  static c10::intrusive_ptr<Future> follow(const std::shared_ptr<Pending>& self, Future& inner) {
    auto outer = c10::make_intrusive<Future>(inner.elementType());
    {
      std::lock_guard<std::mutex> guard(self->mutex_);
      if (self->failed_) std::rethrow_exception(self->failed_);
      self->waiting_.push_back({outer, Clock::now()});
    }
    inner.addCallback([self, outer](Future& ended) {
      if (!self->take(outer)) return;
      if (ended.hasError()) outer->setError(ended.exception_ptr());
      else outer->markCompleted(ended.value());
    });
    return outer;
  }

  // How long the oldest has waited.
  Clock::duration age() {
    std::lock_guard<std::mutex> guard(mutex_);
    return waiting_.empty() ? Clock::duration::zero() : Clock::now() - waiting_.front().since;
  }

  // Ends all of them, and those that come later, with an error.
  void fail(const std::string& message) {
    auto error = std::make_exception_ptr(std::runtime_error(message));
    std::vector<One> waiting;
    {
      std::lock_guard<std::mutex> guard(mutex_);
      failed_ = error;
      waiting.swap(waiting_);
    }
    for (auto& one : waiting) one.outer->setError(error);
  }

 private:
  struct One {
    c10::intrusive_ptr<Future> outer;
    Clock::time_point since;
  };

  // Whether `outer` was waiting: who takes it ends it.
  bool take(const c10::intrusive_ptr<Future>& outer) {
    std::lock_guard<std::mutex> guard(mutex_);
    auto found = std::find_if(waiting_.begin(), waiting_.end(), [&](const One& one) { return one.outer == outer; });
    if (found == waiting_.end()) return false;
    waiting_.erase(found);
    return true;
  }

  std::mutex mutex_;
  std::vector<One> waiting_;
  std::exception_ptr failed_;
};

// What a collective gives. c10d's own work around a future doesn't throw what the future ends with.
class Outcome : public c10d::Work {
 public:
  explicit Outcome(c10::intrusive_ptr<Pending::Future> future) : future_(std::move(future)) {}

  bool wait(std::chrono::milliseconds) override {
    future_->waitAndThrow();
    return true;
  }
  bool isCompleted() override { return future_->completed(); }
  bool isSuccess() const override { return future_->completed() && !future_->hasError(); }
  std::exception_ptr exception() const override { return future_->exception_ptr(); }
  c10::intrusive_ptr<Pending::Future> getFuture() override { return future_; }

 private:
  c10::intrusive_ptr<Pending::Future> future_;
};

class TdGloo : public c10d::ProcessGroupGloo {
 public:
  using Base = c10d::ProcessGroupGloo;
  using Work = c10::intrusive_ptr<c10d::Work>;
  using Tensors = std::vector<at::Tensor>;

  template <typename... Arguments>
  explicit TdGloo(Arguments&&... arguments) : Base(std::forward<Arguments>(arguments)...), watch_([this] { watch(); }) {}

  ~TdGloo() override {
    {
      std::lock_guard<std::mutex> guard(over_mutex_);
      over_ = true;
    }
    over_changed_.notify_all();
    watch_.join();
  }

  // These only hand work to threads of the group, but number it with plain counters.
  Work allreduce(Tensors& tensors, const c10d::AllreduceOptions& options = c10d::AllreduceOptions()) override {
    return watched(locked([&] { return Base::allreduce(tensors, options); }));
  }
  Work broadcast(Tensors& tensors, const c10d::BroadcastOptions& options = c10d::BroadcastOptions()) override {
    return watched(locked([&] { return Base::broadcast(tensors, options); }));
  }
  Work allgather(std::vector<Tensors>& outputs, Tensors& inputs, const c10d::AllgatherOptions& options = c10d::AllgatherOptions()) override {
    return watched(locked([&] { return Base::allgather(outputs, inputs, options); }));
  }
  Work send(Tensors& tensors, int to, int tag) override {
    return locked([&] { return Base::send(tensors, to, tag); });
  }
  Work recv(Tensors& tensors, int from, int tag) override {
    return locked([&] { return Base::recv(tensors, from, tag); });
  }
  // Not watched: ranks that have passed the last one leave, and their connections end.
  Work barrier(const c10d::BarrierOptions& options = c10d::BarrierOptions()) override {
    return locked([&] { return Base::barrier(options); });
  }

  // Closes the connections to the other ranks: gloo has no other way to end what they wait for from this one.
  void hang_up() {
    for (auto& context : contexts_) context->closeConnections();
  }

 private:
  // How long a collective takes before connections are tried, and how often they are then: at first, and at most. Each try leaves some hundred bytes in gloo
  // on both sides, for as long as the connection lives; a job whose collectives always wait leaves a megabyte a day for each peer.
  static constexpr std::chrono::milliseconds PATIENCE{1000};
  static constexpr std::chrono::milliseconds TRY_EVERY{500};
  static constexpr std::chrono::milliseconds TRY_EVERY_MAX{8000};
  // The tag of the message that tries a connection, and is never received. `tag_code` in group.rs refuses it to users.
  static constexpr int TRY_TAG = 0x7fffffff;

  template <typename Body>
  Work locked(Body&& body) {
    std::lock_guard<std::recursive_mutex> guard(mutex_);
    return body();
  }

  Work watched(Work work) { return c10::make_intrusive<Outcome>(Pending::follow(pending_, *work->getFuture())); }

  // Fails the collectives that wait for a broken connection. Gloo itself ends most of them, soon after the connection breaks: hence two tries.
  void watch() {
    std::string broken;
    std::chrono::milliseconds pause = TRY_EVERY;
    std::unique_lock<std::mutex> lock(over_mutex_);
    while (!over_changed_.wait_for(lock, pause, [this] { return over_; })) {
      if (pending_->age() < PATIENCE) {
        broken.clear();
        pause = TRY_EVERY;
        continue;
      }
      bool was_broken = !broken.empty();
      broken = try_connections();
      if (broken.empty()) {
        pause = std::min(2 * pause, TRY_EVERY_MAX);
      } else if (was_broken) {
        // Futures call back, and a callback may end the group.
        lock.unlock();
        return pending_->fail(broken);
      } else {
        pause = TRY_EVERY;
      }
    }
  }

  // Returns the error of the first broken connection; empty if none is broken. Only connections over the first of several interfaces are tried.
  std::string try_connections() {
    for (int rank = 0; rank < getSize(); rank++) {
      if (rank == getRank()) continue;
      try {
        Tensors tensors{nothing_};
        send(tensors, rank, TRY_TAG);
      } catch (const c10::Error& error) {
        return error.what_without_backtrace();
      } catch (const std::exception& error) {
        return error.what();
      }
    }
    return {};
  }

  // Recursive: gloo builds some of these on others.
  std::recursive_mutex mutex_;
  std::shared_ptr<Pending> pending_ = std::make_shared<Pending>();
  at::Tensor nothing_ = at::zeros({1});
  std::mutex over_mutex_;
  std::condition_variable over_changed_;
  bool over_ = false;
  // Last: it uses the others.
  std::thread watch_;
};
