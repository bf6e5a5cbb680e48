"""The server of the MCP peer, run as a child: one tool with a pydantic argument."""

from mcp.server.mcpserver import MCPServer

from tests.benchmarks.peers.echo_lines import EchoParams

server = MCPServer("echo", log_level="ERROR")


@server.tool()
async def echo(params: EchoParams) -> EchoParams:
    """Say it again."""
    return params


if __name__ == "__main__":
    server.run("stdio")
