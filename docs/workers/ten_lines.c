// Enough for requests as supervisor writes them; a worker for everything would use a library for JSON.
#include <stdio.h>
#include <string.h>

int main(void) {
    char line[4096];
    while (fgets(line, sizeof line, stdin)) {
        long id, x;
        if (sscanf(line, "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"method\":\"add_one\",\"params\":[%ld]}", &id, &x) == 2)
            printf("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"result\":%ld}\n", id, x + 1);
        else if (sscanf(line, "{\"jsonrpc\":\"2.0\",\"id\":%ld", &id) == 1)
            printf("{\"jsonrpc\":\"2.0\",\"id\":%ld,\"error\":{\"code\":-32601,\"message\":\"no such method\"}}\n", id);
        fflush(stdout);
    }
}
