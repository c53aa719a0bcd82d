#include "shim.hpp"

#include <c10/util/Flags.h>
#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

using std::chrono::milliseconds;

namespace {

// Python does this on import, and c10d then heeds TORCH_CPP_LOG_LEVEL. Where that isn't set, c10d is silent: errors already say what it logs, with
// call stacks.
void start_logging() {
  c10::initLogging();
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) FLAGS_caffe2_log_level = c10::GLOG_FATAL;
}

}  // namespace

extern "C" {

// `listener`: a bound socket to serve on, which the store takes over; -1 to listen at `port`.
char* td_store_tcp(const char* host, uint16_t port, int32_t listener, bool is_server, uint64_t num_workers, int64_t timeout_ms, TdStore** store,
                   uint16_t* bound) {
  return guard([&] {
    [[maybe_unused]] static const bool once = (start_logging(), true);
    c10d::TCPStoreOptions options;
    options.port = port;
    if (listener >= 0) options.masterListenFd = listener;
    options.isServer = is_server;
    if (num_workers > 0) options.numWorkers = num_workers;
    options.waitWorkers = num_workers > 0;
    options.timeout = milliseconds(timeout_ms);
    auto tcp = c10::make_intrusive<c10d::TCPStore>(host, options);
    *bound = tcp->getPort();
    *store = new TdStore{std::move(tcp)};
  });
}

// The limit for everything that c10d itself asks the store for, such as a group's addresses.
char* td_store_set_timeout(TdStore* store, int64_t timeout_ms) {
  return guard([&] { store->store->setTimeout(milliseconds(timeout_ms)); });
}

char* td_store_prefix(const TdStore* store, const char* prefix, TdStore** prefixed) {
  return guard([&] { *prefixed = new TdStore{c10::make_intrusive<c10d::PrefixStore>(prefix, store->store)}; });
}

char* td_store_set(TdStore* store, const char* key, const uint8_t* value, size_t size) {
  return guard([&] { store->store->set(key, std::vector<uint8_t>(value, value + size)); });
}

// Waits for the key first. `*value` must be freed with td_string_free.
char* td_store_get(TdStore* store, const char* key, int64_t timeout_ms, char** value, size_t* size) {
  return guard([&] {
    store->store->wait({key}, milliseconds(timeout_ms));
    auto bytes = store->store->get(key);
    auto copy = static_cast<char*>(std::malloc(bytes.size() + 1));
    if (copy == nullptr) throw std::bad_alloc();
    if (!bytes.empty()) std::memcpy(copy, bytes.data(), bytes.size());
    *value = copy;
    *size = bytes.size();
  });
}

char* td_store_wait(TdStore* store, const char* const* keys, size_t num_keys, int64_t timeout_ms) {
  return guard([&] { store->store->wait(std::vector<std::string>(keys, keys + num_keys), milliseconds(timeout_ms)); });
}

char* td_store_check(TdStore* store, const char* const* keys, size_t num_keys, bool* present) {
  return guard([&] { *present = store->store->check(std::vector<std::string>(keys, keys + num_keys)); });
}

char* td_store_add(TdStore* store, const char* key, int64_t amount, int64_t* sum) {
  return guard([&] { *sum = store->store->add(key, amount); });
}

char* td_store_delete(TdStore* store, const char* key, bool* deleted) {
  return guard([&] { *deleted = store->store->deleteKey(key); });
}

void td_store_free(TdStore* store) {
  td_string_free(guard([&] { delete store; }));
}
}
