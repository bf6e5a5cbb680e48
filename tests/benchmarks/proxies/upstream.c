// mock.c - single-threaded epoll mock LLM upstream.
//   gcc -O2 -o mock mock.c ; ./mock PORT [CHUNKS] [PACE_US]
// A streaming request whose body contains "[paced]" gets 30 events PACE_US apart (default 10 ms), each
// carrying its send time (CLOCK_MONOTONIC us) in the content, so that lg can measure the delay added to every
// chunk. POST /v1/chat/completions  (body has "stream":true / "stream": true -> SSE, chunked) POST
// /v1/messages          (Anthropic shape, same rule) POST /api/chat             (Ollama shape, NDJSON when
// streaming) GET  /v1/models, /health Every SSE event is one HTTP chunk and one write(2) with TCP_NODELAY, so
// a gateway sees separate events (the kernel may still merge them when it lags).
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
#include <unistd.h>
#define MAXFD 4096
#define BUF 65536
typedef struct {
    char *in;
    int len, cap;
    int stream;
    int next;
    int want_out;
    char *out;
    int outlen, outoff, outcap;
    int close_after;
} conn;
static conn C[MAXFD];
static int ep, NCH = 50;
static long PACE_US = 10000;
static int pacing[MAXFD], npaced;
static double due[MAXFD];
#include <time.h>
static double mono(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec * 1e-3;
}
static char *EV[3][1024];
static int EVL[3][1024];
static int NEV[3];
static char R_OAI[2048], R_ANT[2048], R_OLL[2048], R_MODELS[1024], R_404[256], R_EMB[1024];
static const char *H_SSE = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; "
                           "charset=utf-8\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
static const char *H_ND =
    "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";
static void mk(char *dst, const char *body) {
    sprintf(dst, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
            strlen(body), body);
}
static void ev(int k, const char *s) {
    char b[4096];
    int n = sprintf(b, "%zx\r\n%s\r\n", strlen(s), s);
    EV[k][NEV[k]] = memcpy(malloc(n + 1), b, n + 1);
    EVL[k][NEV[k]++] = n;
}
static void init(void) {
    char b[4096];
    mk(R_OAI, "{\"id\":\"chatcmpl-mock0001\",\"object\":\"chat.completion\",\"created\":1760000000,\"model\":"
              "\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
              "\"The quick brown fox jumps over "
              "it.\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":12,"
              "\"completion_tokens\":9,\"total_tokens\":21}}");
    mk(R_ANT, "{\"id\":\"msg_mock0001\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-3-5-"
              "haiku-20241022\",\"content\":[{\"type\":\"text\",\"text\":\"The quick brown fox jumps over "
              "it.\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":12,"
              "\"output_tokens\":9}}");
    mk(R_OLL, "{\"model\":\"llama3\",\"created_at\":\"2025-01-01T00:00:00Z\",\"message\":{\"role\":"
              "\"assistant\",\"content\":\"The quick brown fox jumps over "
              "it.\"},\"done\":true,\"done_reason\":\"stop\",\"total_duration\":1,\"prompt_eval_count\":12,"
              "\"eval_count\":9}");
    mk(R_MODELS, "{\"object\":\"list\",\"data\":[{\"id\":\"gpt-4o-mini\",\"object\":\"model\",\"created\":1,"
                 "\"owned_by\":\"mock\"}]}");
    mk(R_EMB,
       "{\"object\":\"list\",\"model\":\"text-embedding-3-small\",\"data\":[{\"object\":\"embedding\","
       "\"index\":0,\"embedding\":[0.1,0.2,0.3,0.4]}],\"usage\":{\"prompt_tokens\":3,\"total_tokens\":3}}");
    strcpy(R_404, "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: "
                  "24\r\n\r\n{\"error\":{\"message\":\"\"}}");
    ev(0, "data: "
          "{\"id\":\"chatcmpl-mock0001\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,"
          "\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":"
          "\"\"},\"finish_reason\":null}]}\n\n");
    for (int i = 0; i < NCH - 2; i++) {
        sprintf(b,
                "data: "
                "{\"id\":\"chatcmpl-mock0001\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,"
                "\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"tok%03d "
                "\"},\"finish_reason\":null}]}\n\n",
                i);
        ev(0, b);
    }
    ev(0, "data: "
          "{\"id\":\"chatcmpl-mock0001\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,"
          "\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],"
          "\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":48,\"total_tokens\":60}}\n\n");
    ev(0, "data: [DONE]\n\n");
    ev(1, "event: message_start\ndata: "
          "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_mock0001\",\"type\":\"message\",\"role\":"
          "\"assistant\",\"model\":\"claude-3-5-haiku-20241022\",\"content\":[],\"stop_reason\":null,\"stop_"
          "sequence\":null,\"usage\":{\"input_tokens\":12,\"output_tokens\":1}}}\n\n");
    ev(1, "event: content_block_start\ndata: "
          "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}"
          "\n\n");
    for (int i = 0; i < NCH - 2; i++) {
        sprintf(b,
                "event: content_block_delta\ndata: "
                "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"
                "\"tok%03d \"}}\n\n",
                i);
        ev(1, b);
    }
    ev(1, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n");
    ev(1, "event: message_delta\ndata: "
          "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},"
          "\"usage\":{\"output_tokens\":48}}\n\n");
    ev(1, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    for (int i = 0; i < NCH - 1; i++) {
        sprintf(b,
                "{\"model\":\"llama3\",\"created_at\":\"2025-01-01T00:00:00Z\",\"message\":{\"role\":"
                "\"assistant\",\"content\":\"tok%03d \"},\"done\":false}\n",
                i);
        ev(2, b);
    }
    ev(2, "{\"model\":\"llama3\",\"created_at\":\"2025-01-01T00:00:00Z\",\"message\":{\"role\":\"assistant\","
          "\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"total_duration\":1,\"prompt_eval_"
          "count\":12,\"eval_count\":48}\n");
    for (int k = 0; k < 3; k++) {
        EV[k][NEV[k]] = "0\r\n\r\n";
        EVL[k][NEV[k]++] = 5;
    }
}
static void drop(int fd) {
    if (pacing[fd]) {
        pacing[fd] = 0;
        npaced--;
    }
    close(fd);
    free(C[fd].in);
    free(C[fd].out);
    memset(&C[fd], 0, sizeof(conn));
}
static void interest(int fd, int out) {
    if (C[fd].want_out == out)
        return;
    C[fd].want_out = out;
    struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.fd = fd};
    epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e);
}
static void queue(int fd, const char *s, int n) {
    conn *c = &C[fd];
    if (c->outlen + n > c->outcap) {
        c->outcap = (c->outlen + n) * 2;
        c->out = realloc(c->out, c->outcap);
    }
    memcpy(c->out + c->outlen, s, n);
    c->outlen += n;
}
// returns 0 ok, -1 closed, 1 blocked
static int flush_out(int fd) {
    conn *c = &C[fd];
    while (c->outoff < c->outlen) {
        ssize_t w = send(fd, c->out + c->outoff, c->outlen - c->outoff, MSG_NOSIGNAL);
        if (w < 0) {
            if (errno == EAGAIN) {
                interest(fd, 1);
                return 1;
            }
            return -1;
        }
        c->outoff += w;
    }
    c->outoff = c->outlen = 0;
    return 0;
}
// a slice of events for one stream, so that concurrent streams interleave
static int pump(int fd) {
    conn *c = &C[fd];
    int r = flush_out(fd);
    if (r)
        return r;
    int k = c->stream - 1, n = 0;
    if (pacing[fd]) {
        double t = mono();
        if (t < due[fd]) {
            interest(fd, 0);
            return 1;
        }
        char e[1024], b[1100];
        int last = c->next >= 30;
        int el, bl;
        if (!last) { // one event per tick; its content carries the send time (CLOCK_MONOTONIC, us)
            if (k == 1)
                el = sprintf(e,
                             "event: content_block_delta\ndata: "
                             "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_"
                             "delta\",\"text\":\"t%.0f \"}}\n\n",
                             t);
            else
                el = sprintf(e,
                             "data: "
                             "{\"id\":\"chatcmpl-mock0001\",\"object\":\"chat.completion.chunk\",\"created\":"
                             "1760000000,\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{"
                             "\"content\":\"t%.0f \"},\"finish_reason\":null}]}\n\n",
                             t);
            bl = sprintf(b, "%x\r\n", el);
            memcpy(b + bl, e, el);
            bl += el;
            memcpy(b + bl, "\r\n", 2);
            bl += 2;
            queue(fd, b, bl);
            c->next++;
            due[fd] += PACE_US;
            r = flush_out(fd);
            if (r)
                return r;
            interest(fd, 0);
            return 1;
        }
        c->next = NEV[k] - 3;
        pacing[fd] = 0;
        npaced--;
    } // fall through: finish event, [DONE], terminator
    while (c->next < NEV[k] && n++ < 8) {
        queue(fd, EV[k][c->next], EVL[k][c->next]);
        c->next++;
        r = flush_out(fd);
        if (r)
            return r;
    }
    if (c->next >= NEV[k]) {
        c->stream = 0;
        c->next = 0;
        interest(fd, 0);
        if (c->close_after)
            return -1;
        return 0;
    }
    interest(fd, 1);
    return 1;
}
static int serve(int fd) {
    conn *c = &C[fd];
    while (c->len && !c->stream) {
        c->in[c->len] = 0;
        char *he = strstr(c->in, "\r\n\r\n");
        if (!he)
            return 0;
        int hl = he - c->in + 4, bl = 0, total = 0;
        char *cl = strcasestr(c->in, "\r\ncontent-length:");
        if (cl && cl < he) {
            bl = atoi(cl + 17);
            total = hl + bl;
            if (c->len < total)
                return 0;
        } else {
            char *te = strcasestr(c->in, "\r\ntransfer-encoding: chunked");
            if (te && te < he) {
                char *e = strstr(he + 2, "\r\n0\r\n\r\n");
                if (!e)
                    return 0;
                total = e + 7 - c->in;
                bl = total - hl;
            } else
                total = hl;
        }
        char *kc = strcasestr(c->in, "\r\nconnection: close");
        c->close_after = kc && kc < he;
        int stream = 0;
        char save = c->in[total];
        c->in[total] = 0;
        char *body = c->in + hl;
        char *s = strstr(body, "\"stream\"");
        if (s) {
            s += 8;
            while (*s == ' ' || *s == ':')
                s++;
            stream = !strncmp(s, "true", 4);
        }
        int kind = 0;
        char *sp = strchr(c->in, ' ');
        const char *resp = R_404;
        if (sp) {
            if (strstr(sp, "/chat/completions") && strstr(sp, "/chat/completions") < he) {
                kind = 1;
                resp = R_OAI;
            } else if (!strncmp(sp + 1, "/v1/messages", 12) || !strncmp(sp + 1, "/messages", 9)) {
                kind = 2;
                resp = R_ANT;
            } else if (!strncmp(sp + 1, "/api/chat", 9)) {
                kind = 3;
                resp = R_OLL;
            } else if (strstr(sp, "/models") && strstr(sp, "/models") < he)
                resp = R_MODELS;
            else if (strstr(sp, "/embeddings") && strstr(sp, "/embeddings") < he)
                resp = R_EMB;
            else if (!strncmp(sp + 1, "/health", 7))
                resp = R_MODELS;
        }
        int paced_req = strstr(body, "[paced]") != 0;
        c->in[total] = save;
        memmove(c->in, c->in + total, c->len - total);
        c->len -= total;
        if (kind && stream) {
            const char *h = kind == 3 ? H_ND : H_SSE;
            queue(fd, h, strlen(h));
            c->stream = kind;
            c->next = 0;
            due[fd] = mono();
            pacing[fd] = paced_req;
            npaced += pacing[fd];
            int r = pump(fd);
            if (r < 0)
                return -1;
            if (r)
                return 0;
        } else {
            queue(fd, resp, strlen(resp));
            if (flush_out(fd) < 0)
                return -1;
            if (c->close_after)
                return -1;
        }
    }
    return 0;
}
int main(int ac, char **av) {
    signal(SIGPIPE, SIG_IGN);
    int port = ac > 1 ? atoi(av[1]) : 9101;
    if (ac > 2)
        NCH = atoi(av[2]);
    if (ac > 3)
        PACE_US = atol(av[3]);
    init();
    int ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, 4);
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(ls, (void *)&a, sizeof a) || listen(ls, 1024)) {
        perror("bind");
        return 1;
    }
    ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = ls}, evs[256];
    epoll_ctl(ep, EPOLL_CTL_ADD, ls, &e);
    for (;;) {
        int n = epoll_wait(ep, evs, 256, npaced ? 1 : -1);
        if (npaced) {
            double t = mono();
            for (int fd = 3; fd < 1100; fd++)
                if (C[fd].in && C[fd].stream && pacing[fd] && t >= due[fd]) {
                    int r = pump(fd);
                    if (r < 0)
                        drop(fd);
                    else if (!r && serve(fd) < 0)
                        drop(fd);
                }
        }
        for (int i = 0; i < n; i++) {
            int fd = evs[i].data.fd;
            if (fd == ls) {
                int s;
                while ((s = accept4(ls, 0, 0, SOCK_NONBLOCK)) >= 0) {
                    if (s >= MAXFD) {
                        close(s);
                        continue;
                    }
                    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, 4);
                    memset(&C[s], 0, sizeof(conn));
                    C[s].cap = BUF;
                    C[s].in = malloc(BUF + 1);
                    struct epoll_event ne = {.events = EPOLLIN, .data.fd = s};
                    epoll_ctl(ep, EPOLL_CTL_ADD, s, &ne);
                }
                continue;
            }
            conn *c = &C[fd];
            if (!c->in)
                continue;
            int bad = 0;
            if (evs[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                for (;;) {
                    if (c->len + 8192 > c->cap) {
                        c->cap *= 2;
                        if (c->cap > 8 << 20) {
                            bad = 1;
                            break;
                        }
                        c->in = realloc(c->in, c->cap + 1);
                    }
                    ssize_t r = recv(fd, c->in + c->len, c->cap - c->len, 0);
                    if (r == 0) {
                        bad = 1;
                        break;
                    }
                    if (r < 0) {
                        if (errno != EAGAIN)
                            bad = 1;
                        break;
                    }
                    c->len += r;
                }
            if (!bad && (evs[i].events & EPOLLOUT)) {
                if (c->stream) {
                    if (pump(fd) < 0)
                        bad = 1;
                } else {
                    int r = flush_out(fd);
                    if (r < 0)
                        bad = 1;
                    else if (!r)
                        interest(fd, 0);
                }
            }
            if (!bad && !c->stream && serve(fd) < 0)
                bad = 1;
            if (bad)
                drop(fd);
        }
    }
}
