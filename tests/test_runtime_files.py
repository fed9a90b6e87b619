"""What a container sees: volumes, /etc, /tmp, users; the same under namespaces and in the host view."""

from __future__ import annotations

from pathlib import Path

import pytest
from process_pods import Pods, eventually, http_get, readonly, run

from kitlib.runtime.cri import Mount, RuntimeError_
from kitlib.runtime.process import hostview
from kitlib.runtime.process.isolation import probe


def test_volumes_are_where_the_manifest_says_and_shared_between_containers() -> None:
    async def scenario(pods: Pods) -> None:
        data, config = pods.directory / "data", pods.directory / "config"
        data.mkdir()
        config.mkdir()
        (config / "colour").write_text("blue")
        mounts = (Mount("/data", str(data)), readonly("/etc/config", config))
        script = "cat /etc/config/colour > /data/seen; ls /etc/config"
        assert await pods.run_script("writer", script, mounts=mounts) == ["colour"]
        assert await pods.run_script("reader", "cat /data/seen", mounts=mounts) == ["blue"]

    run(scenario)


def test_a_single_file_can_be_mounted() -> None:
    async def scenario(pods: Pods) -> None:
        file = pods.directory / "app.conf"
        file.write_text("key = value\n")
        script = "cat /etc/app/app.conf"
        assert await pods.run_script("one", script, mounts=(readonly("/etc/app/app.conf", file),)) == ["key = value"]

    run(scenario)


def test_tmp_and_the_working_directory_are_private_to_each_container() -> None:
    async def scenario(pods: Pods) -> None:
        script = "echo $HOSTNAME >> /tmp/mine; echo $HOSTNAME >> here; cat /tmp/mine here"
        assert await pods.run_script("first", script) == ["first", "first"]
        assert await pods.run_script("second", script) == ["second", "second"]
        assert await pods.run_script("third", "pwd; touch file; ls", working_dir="/work/place") in (
            ["/work/place", "file"], [str(_root(pods)) + "/work/place", "file"])  # fmt: skip

    run(scenario)


def _root(pods: Pods) -> Path:
    return max((pods.directory / "runtime" / "containers").iterdir(), key=lambda path: path.stat().st_ctime) / "root"


def test_the_hostname_is_the_pods() -> None:
    async def scenario(pods: Pods) -> None:
        assert await pods.run_script("web-0", "hostname; uname -n; echo $HOSTNAME") == ["web-0"] * 3

    run(scenario)


def test_resolv_conf_and_hosts_are_the_pods_where_it_has_files_of_its_own() -> None:
    async def scenario(pods: Pods) -> None:
        options = {"dns_servers": ("127.99.0.10",), "dns_searches": ("default.svc.cluster.local",)}
        lines = await pods.run_script("dns", "cat /etc/resolv.conf; grep dns /etc/hosts", **options)
        if pods.runtime.isolation.namespaces or pods.runtime.isolation.proot:
            ip = pods.ip(2)
            assert lines == ["search default.svc.cluster.local", "nameserver 127.99.0.10", f"{ip}\tdns"]
        else:
            assert "nameserver 127.99.0.10" not in lines
            costs = {finding.name: finding.cost for finding in probe()}
            assert "/etc/resolv.conf" in costs["namespaces"]

    run(scenario)


def test_kill_1_and_kill_all_stay_inside_the_container() -> None:
    """Without a PID namespace, `kill 1` would hit the machine's init (or, on Binder, Jupyter)."""

    async def scenario(pods: Pods) -> None:
        script = "trap 'echo asked to end; exit 0' TERM; echo ready; while true; do sleep 0.05; done"
        container, _ = await pods.sh("init", script)
        other, _ = await pods.start("other", "busybox", "sleep", "1000")

        async def ready() -> bool:
            return "ready" in pods.log("init")

        await eventually(ready)
        assert (await pods.runtime.exec_sync(container, ["sh", "-c", "kill 1"], 10)).exit_code == 0
        assert (await pods.ended(container)).exit_code == 0
        assert pods.log("init") == ["ready", "asked to end"]
        await pods.runtime.exec_sync(other, ["sh", "-c", "kill -9 -1; true"], 10)
        assert (await pods.runtime.container_status(other)).state.value == "CONTAINER_RUNNING"

    run(scenario)


def test_a_read_only_volume_cannot_be_written_where_namespaces_are_allowed() -> None:
    async def scenario(pods: Pods) -> None:
        volume = pods.directory / "volume"
        volume.mkdir()
        lines = await pods.run_script("ro", "touch /data/x || echo refused", mounts=(readonly("/data", volume),))
        assert ("refused" in lines) == pods.runtime.isolation.namespaces

    run(scenario)


def test_a_missing_host_path_is_refused_by_name() -> None:
    async def scenario(pods: Pods) -> None:
        with pytest.raises(RuntimeError_, match='failed to stat "/no/such/place"'):
            await pods.create("none", "busybox", "true", mounts=(Mount("/data", "/no/such/place"),))

    run(scenario)


def test_a_program_may_change_its_user_even_where_there_is_only_one() -> None:
    """nginx with `user nobody;` and `chown` in scripts must not fail in a user namespace of one user."""

    async def scenario(pods: Pods) -> None:
        _, ip = await pods.start("web", "nginx")
        assert "Welcome to nginx!" in await http_get(ip, pods.reachable(80))
        assert await pods.run_script("own", "touch /tmp/file && chown 101:101 /tmp/file && echo done") == ["done"]

    run(scenario)


def test_nginx_serves_a_mounted_page_and_reloads_its_configuration() -> None:
    async def scenario(pods: Pods) -> None:
        html, servers = pods.directory / "html", pods.directory / "conf.d"
        html.mkdir()
        servers.mkdir()
        (html / "index.html").write_text("my page")
        (servers / "default.conf").write_text("server { listen 80; location / { return 200 'first'; } }")
        _, ip = await pods.start("page", "nginx:alpine", mounts=(readonly("/usr/share/nginx/html", html),))
        assert (await http_get(ip, pods.reachable(80))).endswith("my page")
        container, ip = await pods.start("conf", "nginx", mounts=(readonly("/etc/nginx/conf.d", servers),))
        assert (await http_get(ip, pods.reachable(80))).endswith("first")
        (servers / "default.conf").write_text("server { listen 80; location / { return 200 'second'; } }")
        reload = await pods.runtime.exec_sync(container, ["nginx", "-s", "reload"], 10)
        assert reload.exit_code == 0, reload.stderr

        async def reloaded() -> bool:
            return (await http_get(ip, pods.reachable(80))).endswith("second")

        await eventually(reloaded)

    run(scenario)


def test_the_host_view_rewrites_paths_of_the_container_and_no_others() -> None:
    spec = {"mounts": [{"container_path": "/etc/config", "host_path": "/x", "readonly": True}],
            "image": {"files": {}, "directories": [], "links": {}}}  # fmt: skip
    rewrite = hostview.rewriter("/R", spec)
    assert rewrite("cat /etc/config/colour > /tmp/out") == "cat /R/etc/config/colour > /R/tmp/out"
    assert rewrite("--file=/etc/config") == "--file=/R/etc/config"
    assert rewrite("/no-such-directory/x") == "/R/no-such-directory/x"
    for same in ("/usr/bin/env", "/etc/configuration", "http://host/tmp/x", "s/tmp/etc/", "a/tmp", "$HOME/tmp", "/"):
        assert rewrite(same) == same


def test_what_tar_packs_in_the_host_view_has_the_name_it_has_in_the_container() -> None:
    rewrite = hostview.rewriter("/R", {"mounts": [], "image": {"files": {}, "directories": [], "links": {}}})

    def changed(*argv: str) -> list[str]:
        return hostview.arguments(argv, "/R", rewrite)

    assert changed("tar", "cf", "-", "/tmp/a") == ["tar", "cf", "-", "-C", "/R", "tmp/a"]  # kubectl cp pod:/tmp/a
    assert changed("tar", "cf", "-", "/usr/bin") == ["tar", "cf", "-", "/usr/bin"]
    assert changed("tar", "cf", "-", "here") == ["tar", "cf", "-", "here"]
    assert changed("tar", "-xmf", "-", "-C", "/tmp") == ["tar", "-xmf", "-", "-C", "/R/tmp"]
    assert changed("cat", "/tmp/a") == ["cat", "/R/tmp/a"]
