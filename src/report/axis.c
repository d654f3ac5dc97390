#include "report/axis.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>

enum { DECIMALS_MOST = 6, WIDE_DECADES = 3 };
static const double logarithmic_room = 0.03; /* at either end, of the whole */
static const double thousands_most = 1e9;

static const double round_numbers[] = {1, 2, 5};
enum { ROUND_NUMBERS = sizeof round_numbers / sizeof round_numbers[0] };

/* The smallest of 1, 2, 5 times a power of ten that is no less than `least`, above 0. */
static double round_step(double least)
{
    double power = pow(10, floor(log10(least)));
    for (int i = 0; i < ROUND_NUMBERS; i++)
        if (round_numbers[i] * power >= least * (1 - 1e-9)) return round_numbers[i] * power;
    return 10 * power;
}

static void add_tick(axis *a, double tick)
{
    double slack = 1e-9 * (a->high - a->low);
    if (a->count < AXIS_TICKS_MAX && tick >= a->low - slack && tick <= a->high + slack) a->ticks[a->count++] = tick;
}

/* Multiples of a round step; a step is one in the last decimal that labels show. */
static void add_multiples(axis *a, bool round, int wanted)
{
    double step = round_step((a->high - a->low) / wanted);
    double first = floor(a->low / step + 1e-9), last = ceil(a->high / step - 1e-9);
    if (round) {
        a->low = first * step;
        a->high = last * step;
    }
    for (int i = 0; i <= AXIS_TICKS_MAX && first + i <= last; i++) add_tick(a, (first + i) * step);
    int decimals = (int)ceil(-log10(step) - 1e-9);
    a->decimals = decimals < 0 ? 0 : decimals <= DECIMALS_MOST ? decimals : -1;
}

/* Powers of ten; on a short axis twice and five times these as well. */
static void add_powers(axis *a)
{
    int first = (int)floor(log10(a->low)), last = (int)ceil(log10(a->high));
    int every = (last - first) / AXIS_TICKS_MAX + 1;
    bool wide = log10(a->high / a->low) > WIDE_DECADES;
    for (int power = first; power <= last; power += every)
        for (int i = 0; i < (wide ? 1 : ROUND_NUMBERS); i++) add_tick(a, round_numbers[i] * pow(10, power));
    a->decimals = -1;
}

void axis_fit(axis *a, double low, double high, bool logarithmic, bool round, int wanted)
{
    *a = (axis){.low = low, .high = high, .logarithmic = logarithmic && low > 0};
    if (!(high - low > 1e-12 * fabs(high))) {
        double room = low != 0 ? 0.1 * fabs(low) : 1;
        a->low = low - room;
        a->high = low + room;
    }
    if (a->logarithmic) {
        double room = pow(a->high / a->low, logarithmic_room);
        a->low /= room;
        a->high *= room;
        add_powers(a);
    }
    if (a->count >= 2) return;
    a->count = 0;
    add_multiples(a, round && !a->logarithmic, wanted);
}

double axis_place(const axis *a, double value)
{
    double place = a->logarithmic ? value > 0 ? log(value / a->low) / log(a->high / a->low) : 0
                                  : (value - a->low) / (a->high - a->low);
    return place < 0 ? 0 : place > 1 ? 1 : place;
}

const char *axis_label(const axis *a, double tick, char text[TEXT_NUMBER_BYTES])
{
    double whole = rint(tick);
    if (!a->logarithmic && fabs(tick) < 1e-9 * (a->high - a->low)) return snprintf(text, TEXT_NUMBER_BYTES, "0"), text;
    if (whole >= 1000 && whole < thousands_most && fabs(tick - whole) < 1e-6 * whole) return text_count((uint64_t)whole, text);
    if (a->decimals < 0 || fabs(tick) >= thousands_most)
        snprintf(text, TEXT_NUMBER_BYTES, "%.6g", tick);
    else
        snprintf(text, TEXT_NUMBER_BYTES, "%.*f", a->decimals, tick);
    return text;
}
