// lg.c - closed-loop HTTP/1.1 keep-alive load generator for JSON and SSE answers.
//   gcc -O2 -o lg lg.c
//   ./lg PORT PATH CONNS SECONDS BODYFILE ['Header: value' ...]
// Prints one JSON line.  Only ever connects to 127.0.0.1.
// lat_* = request written -> last body byte;  ttfe_* = request written -> first "data:" line (SSE)
// LG_PACED=1: measure per-chunk delay of a paced mock.  LG_QUICKACK=1: ACK at once (tells a Nagle stall from
// CPU). A 2xx answer counts as ok; anything else, or a cut connection, is an error.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#define MAXC 1024
#define MAXS 4000000
typedef struct {
    int fd;
    char hdr[16384];
    int hlen;
    int state;
    long left;
    int chunked;
    int status;
    int close;
    int done_seen;
    int first;
    int ls;
    int li;
    double t0, tf;
    int sent;
    long csz;
    int inch;
    long evs;
    int inp, dig;
    double stamp;
} cn;
static cn K[MAXC];
static int ep, port, NC;
static char *REQ;
static int RL;
static float *LAT, *TTF;
static long nlat, nttf, okc, errc, evc, donec, bytes;
static int last_status;
static char errbody[512];
static float *DLY;
static long ndly;
static int PACED, QACK;
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}
static int cmpf(const void *a, const void *b) {
    float x = *(float *)a, y = *(float *)b;
    return x < y ? -1 : x > y;
}
static void opn(int i) {
    cn *c = &K[i];
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, 4);
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(c->fd, (void *)&a, sizeof a)) {
        close(c->fd);
        c->fd = -1;
        errc++;
        return;
    }
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = i};
    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
}
static void fire(int i) {
    cn *c = &K[i];
    c->hlen = 0;
    c->state = 0;
    c->left = 0;
    c->chunked = 0;
    c->status = 0;
    c->close = 0;
    c->done_seen = 0;
    c->first = 0;
    c->ls = 1;
    c->li = 0;
    c->evs = 0;
    c->inp = 0;
    c->sent = 0;
    c->t0 = now();
    if (send(c->fd, REQ, RL, MSG_NOSIGNAL) != RL) {
        errc++;
    }
}
static void paced(cn *c, const char *p, long n) { // finds "t<us> stamps written by a paced mock
    for (long j = 0; j < n; j++) {
        char ch = p[j];
        if (c->inp == 0) {
            if (ch == '"')
                c->inp = 1;
        } else if (c->inp == 1) {
            c->inp = ch == 't' ? 2 : ch == '"';
            c->stamp = 0;
            c->dig = 0;
        } else if (ch >= '0' && ch <= '9') {
            c->stamp = c->stamp * 10 + (ch - '0');
            c->dig++;
        } else {
            if (ch == ' ' && c->dig >= 7 && ndly < MAXS)
                DLY[ndly++] = now() * 1e3 - c->stamp / 1e3;
            c->inp = ch == '"';
        }
    }
}
static void body(cn *c, const char *p, long n) {
    bytes += n;
    if (PACED)
        paced(c, p, n); // line-start matcher for "data:" and "data: [DONE]"
    if (c->status >= 300 && strlen(errbody) + n < 500)
        strncat(errbody, p, n);
    static const char D[] = "data:";
    for (long j = 0; j < n; j++) {
        char ch = p[j];
        if (ch == '\n') {
            c->ls = 1;
            c->li = 0;
            continue;
        }
        if (ch == '\r')
            continue;
        if (c->ls == 1) {
            if (ch == D[c->li]) {
                if (++c->li == 5) {
                    c->ls = 2;
                    c->evs++;
                    if (!c->first) {
                        c->first = 1;
                        c->tf = now();
                    }
                    c->li = 0;
                }
            } else
                c->ls = 0;
            continue;
        }
        if (c->ls == 2) { // after data:
            if (ch == '[') {
                c->done_seen = 1;
                c->ls = 0;
            } else if (ch != ' ' && ch != ':')
                c->ls = 0;
        } else if (c->ls == 0) {
            const char *q = memchr(p + j, '\n', n - j);
            if (!q)
                return;
            j = q - p - 1;
        }
    }
}
static int finish(int i, int ok) {
    cn *c = &K[i];
    double t = now();
    int good = ok && c->status >= 200 && c->status < 300;
    last_status = c->status;
    if (good) {
        okc++;
        evc += c->evs;
        donec += c->done_seen;
        if (nlat < MAXS)
            LAT[nlat++] = (t - c->t0) * 1e3;
        if (c->first && nttf < MAXS)
            TTF[nttf++] = (c->tf - c->t0) * 1e3;
    } else
        errc++;
    if (c->close || !ok) {
        close(c->fd);
        opn(i);
        if (c->fd < 0)
            return -1;
    }
    return 0;
}
// returns 1 when the answer is complete
static int feed(cn *c, const char *p, long n) {
    while (n > 0 || c->state == 9) {
        switch (c->state) {
        case 0: {
            int room = (int)sizeof(c->hdr) - 1 - c->hlen;
            int take = n < room ? n : room;
            memcpy(c->hdr + c->hlen, p, take);
            c->hdr[c->hlen + take] = 0;
            char *e = strstr(c->hdr, "\r\n\r\n");
            if (!e) {
                c->hlen += take;
                p += take;
                n -= take;
                if (c->hlen > 16000)
                    return -1;
                break;
            }
            int used = e + 4 - c->hdr - c->hlen;
            p += used;
            n -= used;
            e[2] = 0;
            c->status = atoi(c->hdr + 9);
            if (c->status == 100) {
                c->hlen = 0;
                break;
            }
            char *v;
            c->close = strcasestr(c->hdr, "\r\nconnection: close") != 0;
            if (strcasestr(c->hdr, "\r\ntransfer-encoding: chunked")) {
                c->chunked = 1;
                c->state = 2;
                c->csz = 0;
                c->inch = 0;
            } else if ((v = strcasestr(c->hdr, "\r\ncontent-length:"))) {
                c->left = atol(v + 17);
                c->state = 1;
                if (!c->left)
                    return 1;
            } else {
                c->state = 5;
                c->close = 1;
            }
            break;
        }
        case 1: {
            long k = n < c->left ? n : c->left;
            body(c, p, k);
            p += k;
            n -= k;
            c->left -= k;
            if (!c->left)
                return 1;
            break;
        }
        case 2: {
            char ch = *p++;
            n--;
            if (ch == '\n') {
                if (!c->inch)
                    break;
                c->left = c->csz;
                c->state = c->left ? 3 : 4;
                c->inch = 0;
            } else if (ch == ';') {
                c->inch |= 2;
            } else if (ch != '\r' && !(c->inch & 2)) {
                int d = ch <= '9' ? ch - '0' : (ch | 32) - 'a' + 10;
                c->csz = c->csz * 16 + d;
                c->inch |= 1;
            }
            break;
        }
        case 3: {
            long k = n < c->left ? n : c->left;
            body(c, p, k);
            p += k;
            n -= k;
            c->left -= k;
            if (!c->left) {
                c->state = 2;
                c->csz = 0;
                c->inch = 0;
            }
            break;
        }
        case 4: {
            char ch = *p++;
            n--;
            if (ch == '\n')
                return 1;
            break;
        }
        case 5:
            body(c, p, n);
            return 0;
        }
    }
    return 0;
}
static double pct(float *a, long n, double q) {
    if (!n)
        return 0;
    long k = q * (n - 1);
    return a[k];
}
int main(int ac, char **av) {
    signal(SIGPIPE, SIG_IGN);
    if (ac < 6)
        return 2;
    port = atoi(av[1]);
    NC = atoi(av[3]);
    double dur = atof(av[4]);
    if (NC > MAXC)
        NC = MAXC;
    if (dur > 20)
        dur = 20;
    FILE *f = fopen(av[5], "r");
    char *b = malloc(1 << 20);
    long bl = fread(b, 1, 1 << 20, f);
    fclose(f);
    REQ = malloc(bl + 8192);
    RL = sprintf(REQ,
                 "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nAccept: "
                 "*/*\r\nContent-Length: %ld\r\n",
                 av[2], port, bl);
    for (int i = 6; i < ac; i++)
        RL += sprintf(REQ + RL, "%s\r\n", av[i]);
    RL += sprintf(REQ + RL, "\r\n");
    memcpy(REQ + RL, b, bl);
    RL += bl;
    PACED = getenv("LG_PACED") != 0;
    QACK = getenv("LG_QUICKACK") != 0;
    DLY = malloc(sizeof(float) * MAXS);
    LAT = malloc(sizeof(float) * MAXS);
    TTF = malloc(sizeof(float) * MAXS);
    ep = epoll_create1(0);
    double t0 = now(), end = t0 + dur;
    for (int i = 0; i < NC; i++) {
        opn(i);
        if (K[i].fd >= 0)
            fire(i);
    }
    struct epoll_event ev[256];
    static char buf[262144];
    double t;
    while ((t = now()) < end && errc < 2000) {
        int n = epoll_wait(ep, ev, 256, 50);
        for (int x = 0; x < n; x++) {
            int i = ev[x].data.u32;
            cn *c = &K[i];
            if (c->fd < 0)
                continue;
            ssize_t r = recv(c->fd, buf, sizeof buf, 0);
            if (QACK) {
                int one = 1;
                setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &one, 4);
            }
            if (r < 0) {
                if (errno == EAGAIN)
                    continue;
                c->close = 1;
                if (finish(i, 0) == 0)
                    fire(i);
                continue;
            }
            if (r == 0) {
                int ok = c->state == 5;
                c->close = 1;
                if (finish(i, ok) == 0)
                    fire(i);
                continue;
            }
            int q = feed(c, buf, r);
            if (q) {
                if (finish(i, q > 0) == 0)
                    fire(i);
            }
        }
    }
    double el = now() - t0;
    qsort(LAT, nlat, sizeof(float), cmpf);
    qsort(TTF, nttf, sizeof(float), cmpf);
    qsort(DLY, ndly, sizeof(float), cmpf);
    double sum = 0;
    for (long i = 0; i < nlat; i++)
        sum += LAT[i];
    for (char *q = errbody; *q; q++)
        if (*q == '"' || *q == '\\' || (unsigned char)*q < 32)
            *q = '\'';
    printf("{\"conns\":%d,\"secs\":%.2f,\"ok\":%ld,\"err\":%ld,\"status\":%d,\"rps\":%.1f,\"lat_mean\":%.4f,"
           "\"lat_p50\":%.4f,\"lat_p90\":%.4f,\"lat_p99\":%.4f,\"lat_max\":%.4f,\"events\":%ld,\"events_s\":%"
           ".0f,\"ev_per_stream\":%.1f,\"done\":%ld,\"ttfe_p50\":%.4f,\"ttfe_p99\":%.4f,\"mb_s\":%.2f,"
           "\"chunk_n\":%ld,\"chunk_p50\":%.3f,\"chunk_p99\":%.3f,\"chunk_max\":%.3f,\"errbody\":\"%s\"}\n",
           NC, el, okc, errc, last_status, okc / el, nlat ? sum / nlat : 0, pct(LAT, nlat, .5),
           pct(LAT, nlat, .9), pct(LAT, nlat, .99), nlat ? LAT[nlat - 1] : 0, evc, evc / el,
           okc ? (double)evc / okc : 0, donec, pct(TTF, nttf, .5), pct(TTF, nttf, .99), bytes / el / 1e6,
           ndly, pct(DLY, ndly, .5), pct(DLY, ndly, .99), ndly ? DLY[ndly - 1] : 0, errbody);
    return 0;
}
