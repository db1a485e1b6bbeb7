/* Two plots of a report as SVG: the latency by percentile (a logarithmic axis of nines),
 * and rate and cycles a frame over the measured time. */
#include "reports.h"
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { WIDTH = 800, HEIGHT = 400, LEFT = 80, RIGHT = 40, TOP = 40, BOTTOM = 50 };

struct plot {
    FILE *f;
    double x_max, y_max;
};

static double px(const struct plot *p, double x) {
    return LEFT + x / p->x_max * (WIDTH - LEFT - RIGHT);
}

static double py(const struct plot *p, double y) {
    return HEIGHT - BOTTOM - y / p->y_max * (HEIGHT - TOP - BOTTOM);
}

static void text(const struct plot *p, double x, double y, const char *anchor, const char *s) {
    fprintf(p->f, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, s);
}

static void line(const struct plot *p, double x1, double y1, double x2, double y2) {
    fprintf(p->f, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#ccc\"/>\n", x1,
            y1, x2, y2);
}

/* Four steps of a round size up to y_max, with their values. */
static void y_axis(const struct plot *p, const char *unit) {
    char s[64];
    for (int i = 0; i <= 4; i++) {
        double v = p->y_max * i / 4;
        line(p, LEFT, py(p, v), WIDTH - RIGHT, py(p, v));
        snprintf(s, sizeof(s), "%.4g", v);
        text(p, LEFT - 6, py(p, v) + 4, "end", s);
    }
    text(p, LEFT, TOP - 10, "start", unit);
}

static bool begin(struct plot *p, const char *directory, const char *name, const char *title) {
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    p->f = fopen(path, "we");
    if (!p->f) {
        fprintf(stderr, "tgw-rig: %s: %s\n", path, strerror(errno));
        return false;
    }
    fprintf(p->f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
            "font-family=\"sans-serif\" font-size=\"12\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
            WIDTH, HEIGHT);
    text(p, WIDTH / 2.0, 18, "middle", title);
    return true;
}

static bool finish(struct plot *p) {
    fputs("</svg>\n", p->f);
    return fclose(p->f) == 0;
}

static const cJSON *item(const cJSON *root, const char *name) {
    return cJSON_GetObjectItemCaseSensitive(root, name);
}

static double number(const cJSON *root, const char *name) {
    const cJSON *v = item(root, name);
    return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static bool plot_latency(const cJSON *report, const char *directory) {
    static const char *const nines[] = {"0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"};
    const cJSON *h = item(report, "latency_ns"), *bucket;
    struct plot p = {.x_max = 5, .y_max = number(h, "max") / 1e3 + 1e-9};
    double count = number(h, "count"), seen = 0;
    if (!begin(&p, directory, "latency.svg", "Keystroke echo by percentile"))
        return false;
    y_axis(&p, "us");
    for (int i = 0; i <= 5; i++)
        text(&p, px(&p, i), HEIGHT - BOTTOM + 18, "middle", nines[i]);
    fputs("<polyline fill=\"none\" stroke=\"#1565c0\" stroke-width=\"2\" points=\"", p.f);
    cJSON_ArrayForEach(bucket, item(h, "histogram")) {
        double left = 1 - seen / count;
        double x = left > 0 ? -log10(left) : p.x_max;
        fprintf(p.f, "%.1f,%.1f ", px(&p, x < p.x_max ? x : p.x_max),
                py(&p, cJSON_GetArrayItem(bucket, 0)->valuedouble / 1e3));
        seen += cJSON_GetArrayItem(bucket, 1)->valuedouble;
    }
    fputs("\"/>\n", p.f);
    return finish(&p);
}

static double cycles_a_frame(const cJSON *point) {
    double frames = number(point, "frames");
    return frames > 0 ? number(point, "busy_cycles") / frames : 0;
}

static bool plot_series(const cJSON *report, const char *directory) {
    const cJSON *series = item(report, "series"), *point;
    struct plot p = {.x_max = 1e-9, .y_max = 1e-9};
    char s[32];
    cJSON_ArrayForEach(point, series) {
        p.x_max = fmax(p.x_max, number(point, "t_s"));
        p.y_max = fmax(p.y_max, cycles_a_frame(point));
    }
    if (!begin(&p, directory, "series.svg", "The gateway's cycles a frame over the run"))
        return false;
    y_axis(&p, "cycles a frame");
    for (int i = 0; i <= 5; i++) {
        snprintf(s, sizeof(s), "%.3g s", p.x_max * i / 5);
        text(&p, px(&p, p.x_max * i / 5), HEIGHT - BOTTOM + 18, "middle", s);
    }
    fputs("<polyline fill=\"none\" stroke=\"#c62828\" stroke-width=\"2\" points=\"", p.f);
    cJSON_ArrayForEach(point, series)
        fprintf(p.f, "%.1f,%.1f ", px(&p, number(point, "t_s")), py(&p, cycles_a_frame(point)));
    fputs("\"/>\n", p.f);
    return finish(&p);
}

int plot_report(const char *path, const char *directory) {
    cJSON *report = report_read(path);
    bool good = report && plot_latency(report, directory) && plot_series(report, directory);
    cJSON_Delete(report);
    return good ? 0 : 2;
}
