// The attention kernels themselves, run on CPU threads with the instructions of warps_on_cpu.h and warpgroups_on_cpu.h, against float64.

#include "warpgroups_on_cpu.h"

#include "attention.cu"
#include "attention_hopper.cu"

#include <cstdio>

#include "attention_cases.h"

VSRT_ATTENTION_KERNEL(small, vsrt::Half, 32, 16, 2, 2, 0, 1)
VSRT_ATTENTION_KERNEL(deep, vsrt::Half, 64, 32, 2, 3, 3, 1)
VSRT_ATTENTION_KERNEL(bfloat, vsrt::Bfloat, 32, 32, 2, 2, 2, 1)
VSRT_HOPPER_KERNEL(hopper, vsrt::Half, 2, 64, 3, 2)
VSRT_HOPPER_KERNEL(wide_hopper, vsrt::Bfloat, 3, 128, 3, 0)

namespace {

double worst = 0.0, most_relative = 0.0;

AttentionArguments arguments_of(const AttentionCase &c, std::vector<uint16_t> &out) {
  AttentionArguments a{};
  a.query = c.query.data(), a.key = c.key.data(), a.value = c.value.data(), a.out = out.data();
  a.query_batch = a.out_batch = c.batch_stride(c.queries), a.query_head = a.out_head = c.head_stride(c.queries);
  a.key_batch = a.value_batch = c.batch_stride(c.keys), a.key_head = a.value_head = c.head_stride(c.keys);
  a.query_token = a.key_token = a.value_token = a.out_token = c.token_stride();
  a.batch = c.batch, a.heads = c.heads, a.queries = c.queries, a.keys = c.keys;
  a.scale = c.scale * 1.44269504f;
  return a;
}

template <class Shape>
bool right(void (*kernel)(AttentionArguments), const AttentionCase &c) {
  constexpr size_t GUARD = 64;
  std::vector<uint16_t> out(c.query.size() + GUARD, 0xffff);
  const unsigned blocks = c.batch * c.heads * ((c.queries + Shape::ROWS - 1) / Shape::ROWS);
  launch_warps_on_cpu(kernel, blocks, Shape::THREADS, Shape::SHARED_BYTES, arguments_of(c, out));
  for (size_t i = c.query.size(); i < out.size(); ++i)
    if (out[i] != 0xffff) return std::fprintf(stderr, "%s: written behind the output\n", c.name.c_str()), false;
  double relative = 0.0;
  const bool good = Expected(c).holds(out, "the kernel", &worst, &relative);
  if (c.name == "random" && c.format == Format::HALF) most_relative = std::fmax(most_relative, relative);
  return good;
}

// Rows of which a key is NaN must not come out as numbers.
bool shows_nan() {
  AttentionCase c = random_case(Format::HALF, 1, 1, 5, 40, false, 1.0f, 9);
  c.key[37 * 64 + 3] = 0x7e00;
  std::vector<uint16_t> out(c.query.size());
  launch_warps_on_cpu(deep, 1, deep_shape::THREADS, deep_shape::SHARED_BYTES, arguments_of(c, out));
  for (uint16_t value : out)
    if (std::isfinite(float_of_half(value))) return std::fprintf(stderr, "a NaN was lost\n"), false;
  return true;
}

// 2^x by arithmetic, at many places.
bool powers_are_close() {
  double worst = 0.0;
  for (int i = -125 * 1024; i <= 8 * 1024; ++i) {
    const float x = (float)i / 1024.0f + 1e-4f;
    worst = std::fmax(worst, std::fabs((double)vsrt::power_of_2_by_arithmetic(x) / std::exp2((double)x) - 1.0));
  }
  const bool good = worst < 1.1e-4 && vsrt::power_of_2_by_arithmetic(0.0f) == 1.0f &&
                    vsrt::power_of_2_by_arithmetic(vsrt::NOTHING) < 1e-37f;
  if (!good) std::fprintf(stderr, "2^x by arithmetic is off by %g\n", worst);
  return good;
}

}  // namespace

int main() {
  int failed = 0, done = 0;
  const auto count = [&](bool good) { failed += !good, ++done; };
  for (int keys : {1, 15, 16, 17, 31, 33, 70})
    count(right<small_shape>(small, random_case(Format::HALF, 1, 1, 1 + keys % 40, keys, false, 1.0f, keys)));
  count(right<deep_shape>(deep, random_case(Format::HALF, 2, 3, 65, 129, true, 1.0f, 1)));
  count(right<deep_shape>(deep, random_case(Format::HALF, 1, 2, 64, 64, false, 3.0f, 2)));
  count(right<bfloat_shape>(bfloat, random_case(Format::BFLOAT, 1, 2, 33, 97, true, 1.0f, 3)));
  for (const AttentionCase &c : adversarial_cases(Format::HALF, 33, 75, 4)) {
    count(right<small_shape>(small, c));
    count(right<deep_shape>(deep, c));
  }
  for (int keys : {1, 63, 64, 65, 300}) count(right<hopper_shape>(hopper, random_case(Format::HALF, 1, 1, 131, keys, true, 1.0f, keys)));
  count(right<hopper_shape>(hopper, random_case(Format::HALF, 2, 2, 70, 129, true, 1.0f, 1)));
  count(right<wide_hopper_shape>(wide_hopper, random_case(Format::BFLOAT, 1, 1, 200, 600, false, 1.0f, 2)));
  for (const AttentionCase &c : adversarial_cases(Format::HALF, 66, 270, 6)) count(right<hopper_shape>(hopper, c));
  for (const AttentionCase &c : adversarial_cases(Format::BFLOAT, 20, 75, 5)) count(right<bfloat_shape>(bfloat, c));
  count(shows_nan());
  count(powers_are_close());
  std::printf("%d of %d are right; the largest error is %.2f of its limit, in float16 %.2g of the outputs (root mean square)\n", done - failed, done,
              worst, most_relative);
  return failed == 0 ? 0 : 1;
}
