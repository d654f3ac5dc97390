/* Private to report and the rooms above it: text, and numbers as people read them. Each of these writes into `text` and returns it. */
#ifndef VGG11_REPORT_TEXT_H
#define VGG11_REPORT_TEXT_H

#include <stdbool.h>
#include <stdint.h>

/* False also without memory. */
bool text_is_utf8(const char *text);

enum { TEXT_NUMBER_BYTES = 32 };

/* "1:23" or "1:02:03"; "-:--" if seconds is not a time that makes sense. */
const char *text_duration(double seconds, char text[TEXT_NUMBER_BYTES]);

/* "258.1 MB" (powers of 1000). */
const char *text_bytes(uint64_t bytes, char text[TEXT_NUMBER_BYTES]);

/* "60,000". */
const char *text_count(uint64_t count, char text[TEXT_NUMBER_BYTES]);

#endif
