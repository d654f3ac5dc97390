#include "report/chart.h"

#include <math.h>

#include "report/axis.h"

/* Of the picture, whose units are pixels where it is shown in its own size. */
enum { WIDTH = 560, HEIGHT = 260, LEFT = 64, RIGHT = 30, TOP = 26, BOTTOM = 46, X_TICKS = 6, Y_TICKS = 5, MARKS_MOST = 200 };
enum { RIGHT_EDGE = WIDTH - RIGHT, LOWER_EDGE = HEIGHT - BOTTOM };

/* Differences of such numbers and, of those on a logarithmic axis, their ratios are finite. */
static const double drawable_most = 1e30, drawable_least = 1e-30;
static const double decades_shown = 1e5; /* of a band: what is lower lies at the edge */

/* What is drawn of neighbouring rows. */
typedef struct {
    double step, mean, least, most; /* NaN if none of the values can be drawn */
} point;

typedef struct {
    const chart *c;
    axis x, y;
    bool empty;
} plot;

static size_t point_count(const chart_curve *curve) { return curve->rows->count < curve->most ? curve->rows->count : curve->most; }

static bool can_draw(const chart *c, double value)
{
    return isfinite(value) && fabs(value) < drawable_most && (!c->logarithmic || value > drawable_least);
}

static point point_of(const chart *c, const chart_curve *curve, size_t index)
{
    const series *rows = curve->rows;
    size_t points = point_count(curve), first = index * rows->count / points, end = (index + 1) * rows->count / points;
    double steps = 0, sum = 0, count = 0;
    point p = {.least = INFINITY, .most = -INFINITY};
    for (size_t i = first; i < end; i++) {
        double value = rows->values[i][curve->column] * curve->scale;
        if (!can_draw(c, value)) continue;
        steps += rows->values[i][0];
        sum += value;
        count++;
        p.least = fmin(p.least, value);
        p.most = fmax(p.most, value);
    }
    p.step = steps / count;
    p.mean = sum / count;
    return p;
}

static double x_of(const plot *p, double step) { return LEFT + axis_place(&p->x, step) * (RIGHT_EDGE - LEFT); }
static double y_of(const plot *p, double value) { return LOWER_EDGE - axis_place(&p->y, value) * (LOWER_EDGE - TOP); }

static bool has_level(const chart *c) { return c->level > drawable_least && c->level < drawable_most; }
static bool has_spread(const chart_curve *curve) { return curve->spread && curve->rows->count > curve->most; }

static void fit_y(plot *p)
{
    const chart *c = p->c;
    double low = INFINITY, high = -INFINITY, least = INFINITY;
    for (const chart_curve *curve = c->curves; curve < c->curves + c->count; curve++) {
        for (size_t i = 0; i < point_count(curve); i++) {
            point at = point_of(c, curve, i);
            low = fmin(low, at.mean);
            high = fmax(high, has_spread(curve) ? at.most : at.mean);
            if (has_spread(curve)) least = fmin(least, at.least);
        }
    }
    p->empty = !(low <= high);
    if (p->empty) low = high = 1;
    if (has_level(c)) high = fmax(high, c->level);
    if (has_level(c)) low = fmin(low, c->level);
    if (least < low) low = c->logarithmic ? fmax(least, fmin(low, high / decades_shown)) : least;
    axis_fit(&p->y, c->from_zero ? 0 : low, high, c->logarithmic, true, Y_TICKS);
}

static void write_y_axis(FILE *out, const plot *p)
{
    char label[TEXT_NUMBER_BYTES];
    for (int i = 0; i < p->y.count && !p->empty; i++) {
        double y = y_of(p, p->y.ticks[i]);
        fprintf(out, "<path class=\"grid\" d=\"M%d %.1fL%d %.1f\"/><text class=\"y\" x=\"%d\" y=\"%.1f\">%s</text>\n", LEFT, y,
                RIGHT_EDGE, y, LEFT - 8, y + 5, axis_label(&p->y, p->y.ticks[i], label));
    }
    fprintf(out, "<text class=\"unit\" x=\"%d\" y=\"%d\">%s%s</text>\n", LEFT, TOP - 10, p->c->unit,
            p->y.logarithmic ? ", logarithmic" : "");
}

static void write_x_axis(FILE *out, const plot *p)
{
    char label[TEXT_NUMBER_BYTES];
    for (int i = 0; i < p->x.count; i++) {
        double x = x_of(p, p->x.ticks[i]);
        fprintf(out, "<path class=\"tick\" d=\"M%.1f %dL%.1f %d\"/><text class=\"x\" x=\"%.1f\" y=\"%d\">%s</text>\n", x,
                LOWER_EDGE, x, LOWER_EDGE + 5, x, LOWER_EDGE + 20, axis_label(&p->x, p->x.ticks[i], label));
    }
    fprintf(out, "<text class=\"x unit\" x=\"%d\" y=\"%d\">step</text>\n", (LEFT + RIGHT_EDGE) / 2, HEIGHT - 5);
}

static void write_marks(FILE *out, const plot *p, const run_marks *marks, const char *what)
{
    for (size_t i = 0; i < marks->count && i < MARKS_MOST; i++) {
        double x = x_of(p, marks->steps[i]);
        fprintf(out, "<path class=\"mark\" d=\"M%.1f %dL%.1f %d\"><title>%s %.0f</title></path>\n", x, TOP, x, LOWER_EDGE, what,
                marks->steps[i]);
    }
}

/* A point without neighbours is a line to itself, which round ends make visible. */
static void write_line(FILE *out, const plot *p, const chart_curve *curve, int index)
{
    bool down = false;
    fprintf(out, "<path class=\"line c%d\" d=\"", index);
    for (size_t i = 0; i < point_count(curve); i++) {
        point at = point_of(p->c, curve, i);
        double x = x_of(p, at.step), y = y_of(p, at.mean);
        bool drawn = isfinite(at.mean);
        if (drawn && !down) fprintf(out, "M%.1f %.1f", x, y);
        if (drawn) fprintf(out, "L%.1f %.1f", x, y);
        down = drawn;
    }
    fputs("\"/>\n", out);
}

/* To the right along the most, and back along the least. */
static void write_spread(FILE *out, const plot *p, const chart_curve *curve, int index)
{
    size_t count = point_count(curve);
    const char *command = "M";
    fprintf(out, "<path class=\"band c%d\" d=\"", index);
    for (size_t i = 0; i < 2 * count; i++) {
        point at = point_of(p->c, curve, i < count ? i : 2 * count - 1 - i);
        if (!isfinite(at.mean)) continue;
        fprintf(out, "%s%.1f %.1f", command, x_of(p, at.step), y_of(p, i < count ? at.most : at.least));
        command = "L";
    }
    fputs("\"/>\n", out);
}

static void write_dots(FILE *out, const plot *p, const chart_curve *curve, int index)
{
    for (size_t i = 0; i < point_count(curve); i++) {
        point at = point_of(p->c, curve, i);
        if (!isfinite(at.mean)) continue;
        fprintf(out, "<circle class=\"c%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.2\"><title>step %.0f: %s %.6g%s</title></circle>\n",
                index, x_of(p, at.step), y_of(p, at.mean), at.step, curve->name, at.mean, curve->unit);
    }
}

static void write_key(FILE *out, const chart *c, const run_record *record)
{
    fputs("<ul class=\"key\">", out);
    for (int i = 0; i < c->count; i++) {
        const chart_curve *curve = &c->curves[i];
        size_t points = point_count(curve), together = points ? (curve->rows->count + points - 1) / points : 0;
        bool last_of_rows = i + 1 == c->count || curve[1].rows != curve->rows;
        if (together > 0) fprintf(out, "<li><i class=\"c%d\"></i>%s</li>", i, curve->name);
        if (together > 1 && last_of_rows) fprintf(out, "<li>means of %zu</li>", together);
        if (has_spread(curve)) fprintf(out, "<li><i class=\"band c%d\"></i>their least and most</li>", i);
    }
    if (has_level(c)) fprintf(out, "<li><i class=\"level\"></i>%s %g</li>", c->level_name, c->level);
    if (record->resumed.count) fputs("<li><i class=\"mark\"></i>resumed</li>", out);
    if (record->returned.count) fputs("<li><i class=\"mark\"></i>went back</li>", out);
    fputs("</ul>", out);
}

static void write_curves(FILE *out, const plot *p)
{
    for (int i = 0; i < p->c->count; i++)
        if (has_spread(&p->c->curves[i])) write_spread(out, p, &p->c->curves[i], i);
    for (int i = 0; i < p->c->count; i++) {
        if (point_count(&p->c->curves[i]) > 0) write_line(out, p, &p->c->curves[i], i);
        if (p->c->curves[i].dots) write_dots(out, p, &p->c->curves[i], i);
    }
}

/* The last step that was taken, or 1. */
static double last_step(const run_record *record)
{
    const series *steps = &record->steps;
    double last = steps->count ? steps->values[steps->count - 1][STEP_NUMBER] : 1;
    return last >= 1 && last < drawable_most ? last : 1;
}

void chart_write(FILE *out, const chart *c, const run_record *record)
{
    double last = last_step(record);
    plot p = {.c = c};
    axis_fit(&p.x, 0, last, false, false, last < X_TICKS ? (int)last : X_TICKS); /* there is no half a step */
    fit_y(&p);
    fprintf(out, "<figure>\n<figcaption><h3>%s</h3>", c->title);
    write_key(out, c, record);
    fprintf(out, "</figcaption>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s over steps\">\n", WIDTH, HEIGHT, c->title);
    fprintf(out, "<rect class=\"plot\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n", LEFT, TOP, RIGHT_EDGE - LEFT,
            LOWER_EDGE - TOP);
    write_y_axis(out, &p);
    write_x_axis(out, &p);
    write_marks(out, &p, &record->resumed, "resumed after step");
    write_marks(out, &p, &record->returned, "went back to step");
    if (has_level(c))
        fprintf(out, "<path class=\"level\" d=\"M%d %.1fL%d %.1f\"/>\n", LEFT, y_of(&p, c->level), RIGHT_EDGE, y_of(&p, c->level));
    write_curves(out, &p);
    if (p.empty) fprintf(out, "<text class=\"x\" x=\"%d\" y=\"%d\">no values yet</text>\n", WIDTH / 2, HEIGHT / 2);
    fputs("</svg>\n</figure>\n", out);
}
