// The instructions of attention_ptx.cuh on CPU threads: what a lane gives and gets, as the PTX ISA says it, with a warp's lanes waiting for
// each other. Copies into shared memory arrive as late as they may, and loads that would meet in a bank end the program.
#ifndef VSRT_WARPS_ON_CPU_H
#define VSRT_WARPS_ON_CPU_H

#include "cuda_on_cpu.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "halves.h"

#define VSRT_WARPS_ON_CPU

// What the lanes of a warp show each other.
struct WarpBoard {
  float value[32];
  unsigned word[32][6];
};
inline WarpBoard board[32];
inline std::vector<unsigned char> dynamic_shared;

inline WarpBoard &my_board() { return board[threadIdx.x / 32]; }

// Every lane shows something, then every lane looks.
template <class Show, class Look>
auto exchange(Show show, Look look) {
  WarpBoard &mine = my_board();
  show(mine, threadIdx.x % 32);
  __syncwarp();
  const auto found = look(mine, threadIdx.x % 32);
  __syncwarp();
  return found;
}

inline float __shfl_xor_sync(unsigned, float value, int mask) {
  return exchange([=](WarpBoard &b, unsigned lane) { b.value[lane] = value; },
                  [=](WarpBoard &b, unsigned lane) { return b.value[lane ^ mask]; });
}
inline bool __any_sync(unsigned, bool mine) {
  return exchange([=](WarpBoard &b, unsigned lane) { b.word[lane][0] = mine; },
                  [](WarpBoard &b, unsigned) {
                    unsigned any = 0;
                    for (auto &word : b.word) any |= word[0];
                    return any != 0;
                  });
}
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fdiv_rn(float a, float b) { return a / b; }

namespace vsrt {

struct Half {};
struct Bfloat {};

namespace ptx {

inline float value_of(Half *, unsigned bits) { return float_of_half((uint16_t)bits); }
inline float value_of(Bfloat *, unsigned bits) { return float_of_bfloat((uint16_t)bits); }

struct Copy {
  unsigned to;
  const void *from;
  bool real;
};
inline thread_local std::vector<std::vector<Copy>> groups{1};

inline unsigned shared_memory() { return 0; }
inline void copy_16(unsigned to, const void *from, bool real) { groups.back().push_back({to, from, real}); }
inline void end_group() { groups.emplace_back(); }

template <int N>
void wait_for_groups() {
  while (groups.size() > N + 1) {
    for (const Copy &copy : groups.front())
      if (copy.real)
        std::memcpy(&dynamic_shared.at(copy.to), copy.from, 16);
      else
        std::memset(&dynamic_shared.at(copy.to), 0, 16);
    groups.erase(groups.begin());
  }
}

inline unsigned pair_at(unsigned low, unsigned high) {
  uint16_t both[2];
  std::memcpy(&both[0], &dynamic_shared.at(low), 2), std::memcpy(&both[1], &dynamic_shared.at(high), 2);
  return both[0] | (unsigned)both[1] << 16;
}

template <bool TRANSPOSED>
void load_matrices(unsigned (&to)[4], unsigned row) {
  struct Four {
    unsigned words[4];
  };
  const Four found = exchange([=](WarpBoard &b, unsigned lane) { b.word[lane][0] = row; },
                              [](WarpBoard &b, unsigned lane) {
                                const unsigned g = lane / 4, t = lane % 4;
                                Four four;
                                for (unsigned m = 0; m < 4; ++m) {
                                  unsigned banks = 0;
                                  const auto at = [&](unsigned r) { return b.word[8 * m + r][0]; };
                                  for (unsigned r = 0; r < 8; ++r) banks |= 1u << at(r) / 16 % 8;
                                  if (banks != 255 || at(g) % 16 != 0) {
                                    std::fprintf(stderr, "rows of a matrix share a bank, or are not aligned\n");
                                    std::abort();
                                  }
                                  four.words[m] = TRANSPOSED ? pair_at(at(2 * t) + 2 * g, at(2 * t + 1) + 2 * g)
                                                             : pair_at(at(g) + 4 * t, at(g) + 4 * t + 2);
                                }
                                return four;
                              });
  for (int m = 0; m < 4; ++m) to[m] = found.words[m];
}
inline void load_4(unsigned (&to)[4], unsigned row) { load_matrices<false>(to, row); }
inline void load_4_transposed(unsigned (&to)[4], unsigned row) { load_matrices<true>(to, row); }

template <class Type>
void multiply(Type, float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  struct Four {
    float values[4];
  };
  const auto show = [&](WarpBoard &b, unsigned lane) {
    for (int i = 0; i < 4; ++i) b.word[lane][i] = a[i];
    b.word[lane][4] = b0, b.word[lane][5] = b1;
  };
  const auto look = [&](WarpBoard &b, unsigned lane) {
    Type *const type = nullptr;
    // The lane that holds an element, which of its registers, and the half of it: attention_ptx.cuh's table, read backwards.
    const auto a_at = [&](unsigned row, unsigned k) {
      return value_of(type, b.word[row % 8 * 4 + k % 8 / 2][row / 8 + k / 8 * 2] >> 16 * (k % 2));
    };
    const auto b_at = [&](unsigned k, unsigned column) {
      return value_of(type, b.word[column * 4 + k % 8 / 2][4 + k / 8] >> 16 * (k % 2));
    };
    Four four;
    for (unsigned i = 0; i < 4; ++i) {
      double sum = c[i];
      for (unsigned k = 0; k < 16; ++k)
        sum += (double)a_at(lane / 4 + i / 2 * 8, k) * (double)b_at(k, lane % 4 * 2 + i % 2);
      four.values[i] = (float)sum;
    }
    return four;
  };
  const Four found = exchange(show, look);
  for (int i = 0; i < 4; ++i) c[i] = found.values[i];
}

inline unsigned pack(Half, float low, float high) { return half_of_float(low) | (unsigned)half_of_float(high) << 16; }
inline unsigned pack(Bfloat, float low, float high) { return bfloat_of_float(low) | (unsigned)bfloat_of_float(high) << 16; }
inline float power_of_2(float x) { return std::exp2(x); }
inline float larger(float a, float b) { return std::isnan(a) || std::isnan(b) ? NAN : std::fmax(a, b); }
inline unsigned bits_of(float x) { return bits_of_float(x); }
inline float float_of(unsigned bits) { return float_of_bits(bits); }

}  // namespace ptx
}  // namespace vsrt

// A kernel with dynamic shared memory that holds rubbish, NaN in both formats, before every launch.
template <class Kernel, class... Arguments>
void launch_warps_on_cpu(Kernel kernel, unsigned blocks, unsigned threads, unsigned shared_bytes, Arguments... arguments) {
  dynamic_shared.assign(shared_bytes, 0xff);
  Crew crew(threads);  // of its own: what a thread has not waited for goes with it
  launch_with(crew, kernel, blocks, arguments...);
}

#endif
