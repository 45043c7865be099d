#include "attention_cases.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <utility>

#include "halves.h"

namespace {

float to_float(Format format, uint16_t bits) { return format == Format::HALF ? float_of_half(bits) : float_of_bfloat(bits); }
uint16_t to_bits(Format format, float value) { return format == Format::HALF ? half_of_float(value) : bfloat_of_float(value); }

AttentionCase empty_case(const std::string &name, Format format, int batch, int heads, int queries, int keys) {
  AttentionCase c;
  c.name = name, c.format = format, c.batch = batch, c.heads = heads, c.queries = queries, c.keys = keys;
  c.query.resize((size_t)batch * heads * queries * 64);
  c.key.resize((size_t)batch * heads * keys * 64), c.value.resize(c.key.size());
  return c;
}

// Normal numbers, taken at random from many that were drawn: hundreds of millions are wanted.
void fill(Format format, std::vector<uint16_t> &values, float size, std::mt19937 &random) {
  std::normal_distribution<float> normal(0.0f, size);
  std::vector<uint16_t> drawn(1 << 16);
  for (uint16_t &value : drawn) value = to_bits(format, normal(random));
  uint64_t state = random();
  for (uint16_t &value : values) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    value = drawn[state >> 48];
  }
}

}  // namespace

AttentionCase random_case(Format format, int batch, int heads, int queries, int keys, bool together, float size,
                          uint32_t seed) {
  AttentionCase c = empty_case("random", format, batch, heads, queries, keys);
  c.together = together;
  std::mt19937 random(seed);
  fill(format, c.query, size, random), fill(format, c.key, size, random), fill(format, c.value, 1.0f, random);
  return c;
}

std::vector<AttentionCase> adversarial_cases(Format format, int queries, int keys, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<AttentionCase> cases;
  const auto add = [&](const char *name) -> AttentionCase & {
    cases.push_back(empty_case(name, format, 1, 1, queries, keys));
    fill(format, cases.back().value, 1.0f, random);
    return cases.back();
  };
  AttentionCase &large = add("scores up to ±30,000");
  fill(format, large.query, 60.0f, random), fill(format, large.key, 60.0f, random);

  AttentionCase &equal = add("equal keys");
  fill(format, equal.query, 1.0f, random);
  for (size_t i = 0; i < equal.key.size(); ++i) equal.key[i] = to_bits(format, (float)(i % 64) / 32.0f - 1.0f);

  AttentionCase &rising = add("scores that rise by 1 from key to key, so that the largest is the last");
  for (size_t i = 0; i < rising.query.size(); ++i) rising.query[i] = to_bits(format, i % 64 == 0 ? 8.0f : 0.0f);
  for (size_t i = 0; i < rising.key.size(); ++i) rising.key[i] = to_bits(format, i % 64 == 0 ? (float)(i / 64 % 256) : 0.0f);

  AttentionCase &falling = add("one key that takes all, in the middle");
  fill(format, falling.query, 0.1f, random), fill(format, falling.key, 0.1f, random);
  for (int row = 0; row < queries; ++row) falling.query[(size_t)row * 64] = to_bits(format, 30.0f);
  falling.key[(size_t)(keys / 2) * 64] = to_bits(format, 100.0f);

  AttentionCase &below = add("scores that are all about -20,000");
  fill(format, below.query, 0.5f, random), fill(format, below.key, 0.5f, random);
  for (int row = 0; row < queries; ++row) below.query[(size_t)row * 64] = to_bits(format, 400.0f);
  for (int row = 0; row < keys; ++row) below.key[(size_t)row * 64] = to_bits(format, -400.0f);

  AttentionCase &wide = add("values up to 60,000");
  fill(format, wide.query, 1.0f, random), fill(format, wide.key, 1.0f, random);
  std::uniform_real_distribution<float> most(-60000.0f, 60000.0f);
  for (uint16_t &value : wide.value) value = to_bits(format, most(random));
  return cases;
}

Expected::Expected(const AttentionCase &c, std::vector<int64_t> rows) : case_(c), rows_(std::move(rows)) {
  if (rows_.empty())
    for (int64_t row = 0; row < (int64_t)c.batch * c.heads * c.queries; ++row) rows_.push_back(row);
  std::vector<float> numbers(65536);
  for (uint32_t bits = 0; bits < 65536; ++bits) numbers[bits] = to_float(c.format, (uint16_t)bits);
  for (int64_t row : rows_) add(row, numbers);
}

int64_t Expected::place(int64_t row, int tokens, int token) const {
  const int64_t head = row / case_.queries % case_.heads, batch = row / case_.queries / case_.heads;
  return batch * case_.batch_stride(tokens) + head * case_.head_stride(tokens) + token * case_.token_stride();
}

void Expected::add(int64_t row, const std::vector<float> &numbers) {
  const AttentionCase &c = case_;
  const uint16_t *query = &c.query[place(row, c.queries, (int)(row % c.queries))];
  std::vector<double> weight(c.keys), slip(c.keys);
  double most = -INFINITY, largest = 0.0, sum = 0.0, mean_slip = 0.0;
  for (int token = 0; token < c.keys; ++token) {
    const uint16_t *key = &c.key[place(row, c.keys, token)];
    double score = 0.0, size = 0.0;
    for (int channel = 0; channel < 64; ++channel) {
      const double product = (double)numbers[query[channel]] * numbers[key[channel]];
      score += product, size += std::fabs(product);
    }
    weight[token] = score * c.scale, slip[token] = size * c.scale;
    most = std::max(most, weight[token]), largest = std::max(largest, slip[token]);
  }
  for (int token = 0; token < c.keys; ++token) {
    weight[token] = std::exp(weight[token] - most), sum += weight[token];
    slip[token] = std::expm1(std::min(std::ldexp(64 * slip[token] + 4 * largest, -24), 50.0));
    mean_slip += weight[token] * slip[token];
  }
  const double unit = c.format == Format::HALF ? std::ldexp(1.0, -11) : std::ldexp(1.0, -8);
  const double smallest = c.format == Format::HALF ? std::ldexp(1.0, -25) : std::ldexp(1.0, -134);
  double exact[64] = {}, limit[64] = {};
  for (int token = 0; token < c.keys; ++token) {
    const uint16_t *value = &c.value[place(row, c.keys, token)];
    const double share = weight[token] / sum;
    const double part = share * (unit + 2.5e-4 + slip[token] + mean_slip / sum) + smallest / sum;
    for (int channel = 0; channel < 64; ++channel) {
      exact[channel] += share * numbers[value[channel]];
      limit[channel] += part * std::fabs(numbers[value[channel]]);
    }
  }
  for (int channel = 0; channel < 64; ++channel) {
    exact_.push_back(exact[channel]);
    limit_.push_back(limit[channel] + unit * (std::fabs(exact[channel]) + limit[channel]) + smallest);
  }
}

bool Expected::holds(const std::vector<uint16_t> &out, const std::string &who, double *worst, double *relative) const {
  const AttentionCase &c = case_;
  double errors = 0.0, sizes = 0.0;
  for (size_t i = 0; i < rows_.size(); ++i) {
    const int64_t row = rows_[i], at = place(row, c.queries, (int)(row % c.queries));
    for (int channel = 0; channel < 64; ++channel) {
      const double found = to_float(c.format, out[at + channel]);
      const double part = std::fabs(found - exact_[64 * i + channel]) / limit_[64 * i + channel];
      errors += (found - exact_[64 * i + channel]) * (found - exact_[64 * i + channel]);
      sizes += exact_[64 * i + channel] * exact_[64 * i + channel];
      if (worst != nullptr) *worst = std::max(*worst, std::isnan(part) ? INFINITY : part);
      if (part <= 1.0) continue;
      std::fprintf(stderr, "%s, %s: %d×%d×%d×%d, %s, row %lld, channel %d: %g instead of %g, %.3g of the limit\n", who.c_str(),
                   c.name.c_str(), c.batch, c.heads, c.queries, c.keys, c.together ? "together" : "apart", (long long)row,
                   channel, found, exact_[64 * i + channel], part);
      return false;
    }
  }
  const double found = std::sqrt(errors / sizes), most = 4 * std::ldexp(1.0, c.format == Format::HALF ? -11 : -8);
  if (relative != nullptr) *relative = found;
  if (c.name != "random" || found <= most) return true;
  std::fprintf(stderr, "%s, %s: %d×%d×%d×%d: errors of %.3g of the outputs, root mean square\n", who.c_str(), c.name.c_str(), c.batch,
               c.heads, c.queries, c.keys, found);
  return false;
}
