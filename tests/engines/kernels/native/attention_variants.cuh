// Shapes of the attention kernel that are tried on a GPU: each is held to float64, and one measurement shows which is fastest.
#pragma once

#include <cuda_runtime.h>

#include <vector>

#include "attention.cu"
#include "attention_cases.h"
#if defined(VSRT_HOPPER)  // compiled for sm_90a
#include "attention_hopper.cu"
#endif

struct Variant {
  const char *name;
  Format format;
  void (*kernel)(AttentionArguments);
  int rows, threads, shared_bytes;
  int emulated;
};

inline std::vector<Variant> &variants() {
  static std::vector<Variant> all;
  return all;
}

#define VARIANT_NAMED(NAME, FORMAT, TYPE, ROWS, KEYS, WARPS, STAGES, EMULATED, BLOCKS)                                     \
  VSRT_ATTENTION_KERNEL(NAME, TYPE, ROWS, KEYS, WARPS, STAGES, EMULATED, BLOCKS)                                           \
  static const bool NAME##_listed =                                                                                        \
      (variants().push_back({#NAME, FORMAT, NAME, ROWS, NAME##_shape::THREADS, NAME##_shape::SHARED_BYTES, EMULATED}), true);

// ROWS queries and KEYS keys, WARPS warps, STAGES stages, EMULATED of 8 powers by arithmetic, BLOCKS blocks a multiprocessor.
#define HALF_VARIANT(ROWS, KEYS, WARPS, STAGES, EMULATED, BLOCKS)                                                          \
  VARIANT_NAMED(half_##ROWS##x##KEYS##_w##WARPS##_s##STAGES##_e##EMULATED##_b##BLOCKS, Format::HALF, vsrt::Half, ROWS, KEYS, \
                WARPS, STAGES, EMULATED, BLOCKS)

HALF_VARIANT(128, 64, 4, 2, 0, 2)
HALF_VARIANT(128, 64, 4, 2, 1, 2)
HALF_VARIANT(128, 64, 4, 2, 2, 2)
HALF_VARIANT(128, 64, 4, 2, 3, 2)
HALF_VARIANT(128, 64, 4, 3, 2, 2)
HALF_VARIANT(128, 32, 4, 3, 0, 2)
HALF_VARIANT(128, 32, 4, 3, 2, 2)
HALF_VARIANT(128, 96, 4, 2, 2, 2)
HALF_VARIANT(256, 64, 8, 2, 0, 1)
HALF_VARIANT(256, 64, 8, 2, 2, 1)
HALF_VARIANT(128, 128, 8, 2, 0, 1)
HALF_VARIANT(128, 64, 8, 2, 0, 2)
HALF_VARIANT(128, 64, 8, 2, 2, 2)
HALF_VARIANT(64, 64, 4, 2, 0, 4)
HALF_VARIANT(64, 64, 4, 2, 2, 4)
HALF_VARIANT(64, 64, 4, 2, 2, 3)
HALF_VARIANT(64, 32, 4, 3, 2, 4)
HALF_VARIANT(64, 64, 2, 2, 2, 4)
VARIANT_NAMED(bfloat_128x64_w4_s2_e0_b2, Format::BFLOAT, vsrt::Bfloat, 128, 64, 4, 2, 0, 2)
VARIANT_NAMED(bfloat_128x64_w4_s2_e2_b2, Format::BFLOAT, vsrt::Bfloat, 128, 64, 4, 2, 2, 2)

#if defined(VSRT_HOPPER)
#define HOPPER_NAMED(NAME, FORMAT, TYPE, CONSUMERS, KEYS, STAGES, EMULATED)                                                  \
  VSRT_HOPPER_KERNEL(NAME, TYPE, CONSUMERS, KEYS, STAGES, EMULATED)                                                         \
  static const bool NAME##_listed = (variants().push_back({#NAME, FORMAT, NAME, NAME##_shape::ROWS, NAME##_shape::THREADS,  \
                                                           NAME##_shape::SHARED_BYTES, EMULATED}),                          \
                                     true);
#define HOPPER_VARIANT(CONSUMERS, KEYS, STAGES, EMULATED) \
  HOPPER_NAMED(hopper_half_c##CONSUMERS##_k##KEYS##_s##STAGES##_e##EMULATED, Format::HALF, vsrt::Half, CONSUMERS, KEYS, STAGES, EMULATED)

HOPPER_VARIANT(3, 128, 4, 0)
HOPPER_VARIANT(3, 128, 4, 1)
HOPPER_VARIANT(3, 128, 4, 2)
HOPPER_VARIANT(3, 128, 4, 3)
HOPPER_VARIANT(3, 128, 3, 2)
HOPPER_VARIANT(3, 64, 6, 0)
HOPPER_VARIANT(3, 64, 6, 2)
HOPPER_VARIANT(2, 128, 4, 0)
HOPPER_VARIANT(2, 128, 4, 2)
HOPPER_NAMED(hopper_bfloat_c3_k128_s4_e0, Format::BFLOAT, vsrt::Bfloat, 3, 128, 4, 0)
HOPPER_NAMED(hopper_bfloat_c3_k128_s4_e2, Format::BFLOAT, vsrt::Bfloat, 3, 128, 4, 2)
#endif
