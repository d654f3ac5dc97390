#include "report/text.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* jansson takes nothing else. */
bool text_is_utf8(const char *text)
{
    json_t *value = json_string(text);
    json_decref(value);
    return value;
}

const char *text_duration(double seconds, char text[TEXT_NUMBER_BYTES])
{
    if (!(seconds >= 0 && seconds < 1e9)) return strcpy(text, "-:--");
    unsigned long whole = (unsigned long)(seconds + 0.5);
    unsigned long hours = whole / 3600, minutes = whole / 60 % 60;
    if (hours)
        snprintf(text, TEXT_NUMBER_BYTES, "%lu:%02lu:%02lu", hours, minutes, whole % 60);
    else
        snprintf(text, TEXT_NUMBER_BYTES, "%lu:%02lu", minutes, whole % 60);
    return text;
}

const char *text_bytes(uint64_t bytes, char text[TEXT_NUMBER_BYTES])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.95 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1000;
        unit++;
    }
    snprintf(text, TEXT_NUMBER_BYTES, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return text;
}

const char *text_count(uint64_t count, char text[TEXT_NUMBER_BYTES])
{
    char digits[TEXT_NUMBER_BYTES];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    char *out = text;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) *out++ = ',';
        *out++ = digits[i];
    }
    *out = '\0';
    return text;
}
