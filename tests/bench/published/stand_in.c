/* The kernels' library on the host, slow and plain: attention in double, the renderer not at all. */
#include "videoscene_rt_kernels.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int32_t vsrt_kernels_abi(void) { return VSRT_KERNELS_ABI; }
const char *vsrt_status_string(VsrtStatus s) { return s == VSRT_BAD_SIZE ? "bad size" : "something"; }

VsrtStatus vsrt_splat_workspace_bytes(const VsrtSplatConfig *c, size_t *bytes) {
  *bytes = 64 + c->radius;
  return VSRT_OK;
}

VsrtStatus vsrt_splat_enqueue(const VsrtSplatConfig *c, const VsrtSplatBuffers *b, void *stream) {
  size_t pixels = (size_t)c->frames * c->height * c->width;
  memset(b->frames, 7, 3 * pixels);
  memset(b->depth, 0, 4 * pixels);
  memset(b->hole_mask, 1, pixels);
  return stream ? VSRT_BAD_SIZE : VSRT_OK;
}

static double get(const void *p, int64_t i, int format) {
  if (format == VSRT_FLOAT16) return ((const _Float16 *)p)[i];
  uint32_t bits = (uint32_t)((const uint16_t *)p)[i] << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

static void put(void *p, int64_t i, int format, double value) {
  if (format == VSRT_FLOAT16) {
    ((_Float16 *)p)[i] = (_Float16)value;
    return;
  }
  float f = (float)value;
  uint32_t bits;
  memcpy(&bits, &f, 4);
  ((uint16_t *)p)[i] = (uint16_t)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

VsrtStatus vsrt_attention_enqueue(const VsrtAttentionConfig *c, const void *query, const void *key, const void *value, void *out,
                                  void *stream) {
  if (stream || c->scale != 0.125f) return VSRT_BAD_SIZE;
  double *scores = malloc(sizeof(double) * c->keys);
  for (int b = 0; b < c->batch; b++)
    for (int h = 0; h < c->heads; h++)
      for (int q = 0; q < c->queries; q++) {
        double most = -INFINITY, sum = 0;
        for (int k = 0; k < c->keys; k++) {
          double s = 0;
          for (int d = 0; d < 64; d++)
            s += get(query, b * c->query_strides[0] + h * c->query_strides[1] + q * c->query_strides[2] + d, c->format) *
                 get(key, b * c->key_strides[0] + h * c->key_strides[1] + k * c->key_strides[2] + d, c->format);
          scores[k] = s * c->scale;
          if (scores[k] > most) most = scores[k];
        }
        for (int k = 0; k < c->keys; k++) sum += scores[k] = exp(scores[k] - most);
        for (int d = 0; d < 64; d++) {
          double mixed = 0;
          for (int k = 0; k < c->keys; k++)
            mixed += scores[k] / sum * get(value, b * c->value_strides[0] + h * c->value_strides[1] + k * c->value_strides[2] + d, c->format);
          put(out, b * c->out_strides[0] + h * c->out_strides[1] + q * c->out_strides[2] + d, c->format, mixed);
        }
      }
  free(scores);
  return VSRT_OK;
}
