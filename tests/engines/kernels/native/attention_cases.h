// Inputs for attention, the result in float64, and how far a kernel may be from it; for the tests on the CPU and on a GPU.
#ifndef VSRT_ATTENTION_CASES_H
#define VSRT_ATTENTION_CASES_H

#include <cstdint>
#include <string>
#include <vector>

enum class Format { HALF, BFLOAT };

// batch · heads · (queries or keys) · 64 values. In memory: heads apart, [batch,heads,tokens,64], or together, [batch,tokens,heads,64].
struct AttentionCase {
  std::string name;
  Format format = Format::HALF;
  int batch = 1, heads = 1, queries = 1, keys = 1;
  bool together = false;
  float scale = 0.125f;
  std::vector<uint16_t> query, key, value;

  int64_t head_stride(int tokens) const { return together ? 64 : (int64_t)tokens * 64; }
  int64_t token_stride() const { return together ? (int64_t)heads * 64 : 64; }
  int64_t batch_stride(int tokens) const { return (int64_t)heads * tokens * 64; }
};

// Like the student's: queries and keys of normal size (times `size`), values around zero.
AttentionCase random_case(Format format, int batch, int heads, int queries, int keys, bool together, float size, uint32_t seed);

// Scores of ±30,000 that fall and rise from key to key; all keys equal; one key that takes all, at the end; values up to 60,000.
std::vector<AttentionCase> adversarial_cases(Format format, int queries, int keys, uint32_t seed);

// What a case's rows shall be, computed once in float64, and by how much a kernel may miss it.
//
// The limit for an output: let u be half a unit of the format (2^-11, 2^-8) and w the weights, which sum to 1. Rounding a weight errs by
// u·w (by half of the smallest subnormal where it is small; the largest weight is at least 1 before it is divided by the sum). Powers and sums
// in float32 err by less than 2.5e-4·w, of which 2^x by arithmetic may take 1.1e-4. A score is 64 float32 roundings of its partial sums at worst,
// and four more of the largest, which the exponent turns into a relative error of the weight. The output's own rounding is u of itself.
//
// Errors of many keys cancel, so that for thousands of them the limit alone would let a lost tile pass. For random cases the root mean square of
// all errors is held as well, to 4u of that of the outputs.
class Expected {
 public:
  // rows: of batch·heads·queries; empty: all.
  explicit Expected(const AttentionCase &c, std::vector<int64_t> rows = {});

  // Says on standard error which row is wrong first, if one is. worst: the largest error seen, as a part of its limit. relative: the root mean
  // square of errors over that of outputs.
  bool holds(const std::vector<uint16_t> &out, const std::string &who, double *worst = nullptr, double *relative = nullptr) const;

 private:
  void add(int64_t row, const std::vector<float> &numbers);
  int64_t place(int64_t row, int tokens, int token) const;

  const AttentionCase &case_;
  std::vector<int64_t> rows_;
  std::vector<double> exact_, limit_;  // 64 for each row
};

#endif
