/* The precisions and algorithms with which whole networks are tested: fp32, and bf16 with what is expected of its rows and with
 * each of them by name that this processor has. */
#ifndef VGG11_TESTS_SETTINGS_H
#define VGG11_TESTS_SETTINGS_H

#include "vgg11/nn/network.h"

typedef struct {
    vgg_precision precision;
    const char *conv;
} setting;

/* The first of each precision leaves the algorithm open. */
enum { SETTING_FP32, SETTING_BF16, SETTINGS_MAX = 16 };
extern setting settings[SETTINGS_MAX];
extern int settings_count;

/* To be called first, by main(). */
void settings_find(void);

/* Fails the test if the network cannot be made. */
network *settings_create(const setting *s, int capacity, int threads, bool training);

/* Whether some product of the network is of a row that rounds what a transform made of its operands. */
bool settings_round_transforms(const network *net);

#endif
