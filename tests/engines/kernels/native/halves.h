// float16 and bfloat16 in C++: the bits of a float rounded to nearest even, and back.
#ifndef VSRT_HALVES_H
#define VSRT_HALVES_H

#include <cmath>
#include <cstdint>
#include <cstring>

inline float float_of_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
inline uint32_t bits_of_float(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

inline float float_of_half(uint16_t half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const float size = exponent == 31  ? (fraction != 0 ? NAN : INFINITY)
                     : exponent == 0 ? std::ldexp((float)fraction, -24)
                                     : std::ldexp((float)(fraction + 1024), exponent - 25);
  return half >> 15 ? -size : size;
}

inline uint16_t half_of_float(float value) {
  const uint16_t sign = bits_of_float(value) >> 31 << 15;
  const float size = std::fabs(value);
  if (std::isnan(value)) return sign | 0x7fff;
  if (size >= 65520.0f) return sign | 0x7c00;
  if (size == 0.0f) return sign;
  int exponent;
  std::frexp(size, &exponent);                                // size < 2^exponent
  const int step = exponent - 11 < -24 ? -24 : exponent - 11;  // one unit in the last place is 2^step
  const int units = (int)std::nearbyint(std::ldexp(size, -step));
  return sign | (uint16_t)(units + (step + 24) * 1024);  // a carry moves into the exponent by itself
}

inline float float_of_bfloat(uint16_t bfloat) { return float_of_bits((uint32_t)bfloat << 16); }

inline uint16_t bfloat_of_float(float value) {
  const uint32_t bits = bits_of_float(value);
  if (std::isnan(value)) return (uint16_t)(bits >> 16 | 0x7fff);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#endif
