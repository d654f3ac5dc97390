/* Private to app: setting one option from text. */
#ifndef VGG11_APP_OPTIONS_VALUE_H
#define VGG11_APP_OPTIONS_VALUE_H

#include "app/options/options.h"

enum { OPTION_SHOWN_BYTES = 64 };

/* Checks `value` and puts it into `o`. `where` begins the message of VGG_BAD_OPTION: "--lr", or "run.conf:3: lr". */
vgg_status option_set(options *o, const option_row *row, const char *value, const char *where);

/* VGG_OK for a text that is neither empty nor too long, one line, and UTF-8; VGG_BAD_OPTION or VGG_UNAVAILABLE without a message. */
vgg_status option_check_text(const char *value);

/* A rate of 0 becomes what follows from the batch size. */
void option_derive_rate(options *o);

/* "a whole number from 1 to 8". */
void option_expected(const option_row *row, char *text, size_t bytes);

/* `value` as a message may show it: short, printable, one line. Returns `shown`. */
const char *option_shown(const char *value, char shown[OPTION_SHOWN_BYTES]);

#endif
