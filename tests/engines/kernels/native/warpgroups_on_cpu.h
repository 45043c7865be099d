// The instructions of attention_wgmma.cuh on CPU threads. Products happen as late as they may: when they are waited for, with what tiles and
// registers hold then. So a wait, or a barrier, that is missing shows in the result.
#ifndef VSRT_WARPGROUPS_ON_CPU_H
#define VSRT_WARPGROUPS_ON_CPU_H

#include "warps_on_cpu.h"

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>

namespace vsrt {
namespace ptx {

inline unsigned long long descriptor(unsigned address) {
  return (unsigned long long)((address & 0x3ffff) >> 4) | 1ull << 16 | (unsigned long long)(1024 >> 4) << 32 | 1ull << 62;
}

// A value of a tile that a descriptor names: row and column, or, where columns are counted along the rows of 128 bytes, the reverse.
template <class Type>
float tile_value(unsigned long long name, unsigned row, unsigned column) {
  const unsigned first = (unsigned)(name & 0x3fff) << 4, groups = (unsigned)(name >> 32 & 0x3fff) << 4;
  if (name >> 62 != 1) std::abort();
  const unsigned plain = first + row / 8 * groups + row % 8 * 128 + column * 2;
  const unsigned at = plain ^ (plain >> 7 & 7) << 4;
  return value_of(static_cast<Type *>(nullptr), pair_at(at, at));
}

inline thread_local std::vector<std::vector<std::function<void()>>> product_groups{1};

template <class Type, int TILES, class A, class B>
void product(float (&c)[TILES][4], bool add, A a_at, B b_at) {
  const unsigned lane = threadIdx.x % 32;
  for (int n = 0; n < TILES; ++n)
    for (int i = 0; i < 4; ++i) {
      double sum = add ? c[n][i] : 0.0;
      for (unsigned k = 0; k < 16; ++k)
        sum += (double)a_at(lane / 4 + i / 2 * 8, k) * (double)b_at(8 * n + lane % 4 * 2 + i % 2, k);
      c[n][i] = (float)sum;
    }
}

template <class Type, int TILES>
void later(float (&c)[TILES][4], bool add, unsigned long long a, unsigned long long b) {
  const unsigned first_row = threadIdx.x % 128 / 32 * 16;
  product_groups.back().push_back([=, &c] {
    product<Type>(
        c, add, [=](unsigned row, unsigned k) { return tile_value<Type>(a, first_row + row, k); },
        [=](unsigned column, unsigned k) { return tile_value<Type>(b, column, k); });
  });
}
template <class Type, int TILES>
void start_product(Type, float (&c)[TILES][4], unsigned long long a, unsigned long long b) {
  for (auto &four : c)
    for (float &value : four) value = NAN;  // nobody may look yet
  later<Type>(c, false, a, b);
}
template <class Type, int TILES>
void add_product(Type, float (&c)[TILES][4], unsigned long long a, unsigned long long b) {
  later<Type>(c, true, a, b);
}
template <class Type>
void add_weighted(Type, float (&c)[8][4], const unsigned (&a)[4], unsigned long long b) {
  product_groups.back().push_back([=, &c, &a] {
    exchange(
        [&](WarpBoard &board, unsigned lane) {
          for (int i = 0; i < 4; ++i) board.word[lane][i] = a[i];
        },
        [&](WarpBoard &board, unsigned) {
          product<Type>(
              c, true,
              [&](unsigned row, unsigned k) {
                return value_of(static_cast<Type *>(nullptr), board.word[row % 8 * 4 + k % 8 / 2][row / 8 + k / 8 * 2] >> 16 * (k % 2));
              },
              [=](unsigned column, unsigned k) { return tile_value<Type>(b, k, column); });
          return 0;
        });
  });
}

template <class Registers>
void settle(Registers &) {}
inline void begin_products() {}
inline void end_products() { product_groups.emplace_back(); }
template <int N>
void wait_for_products() {
  while (product_groups.size() > N + 1) {
    for (const auto &each : product_groups.front()) each();
    product_groups.erase(product_groups.begin());
  }
}
inline void show_to_products() {}

struct Phases {
  int count = 0, arrived = 0, ended = 0;
};
inline std::map<unsigned, Phases> barriers;
inline std::mutex of_barriers;
inline std::condition_variable phase_ended;

inline void make_barrier(unsigned at, int count) {
  const std::lock_guard<std::mutex> lock(of_barriers);
  barriers[at] = {count, 0, 0};
}
inline void arrive(unsigned at) {
  const std::lock_guard<std::mutex> lock(of_barriers);
  Phases &phases = barriers.at(at);
  if (++phases.arrived < phases.count) return;
  phases.arrived = 0, ++phases.ended;
  phase_ended.notify_all();
}
// Returns when the phase of this parity has ended: the current one has the other parity.
inline void wait_for_phase(unsigned at, int parity) {
  std::unique_lock<std::mutex> lock(of_barriers);
  phase_ended.wait(lock, [=] { return barriers.at(at).ended % 2 != parity; });
}

inline std::barrier<> &warpgroup_barrier(int number) {
  static std::barrier<> all[4] = {std::barrier<>(128), std::barrier<>(128), std::barrier<>(128), std::barrier<>(128)};
  return all[number];
}
inline void sync_warpgroup(int number) { warpgroup_barrier(number).arrive_and_wait(); }

template <int REGISTERS>
void keep_registers() {}
template <int REGISTERS>
void take_registers() {}

}  // namespace ptx
}  // namespace vsrt

#endif
