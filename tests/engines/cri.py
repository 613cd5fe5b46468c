# SPDX-License-Identifier: Apache-2.0
"""A pod of two containers by the Container Runtime Interface, as a kubelet would run it: each step's result on a line.

usage: cri.py image TAR ROOT NAME COMMAND...    an image of the folder ROOT, for `ctr image import`
       cri.py run SOCKET HANDLER IMAGE FOLDER   cri_pb2.py is in FOLDER, and logs go there
"""
import hashlib, io, json, os, re, sys, tarfile, time


def image(tar, root, name, *command):
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as t:
        t.add(root, arcname=".")
    data = layer.getvalue()
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": command, "Env": ["PATH=/bin"]},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(data).hexdigest()]}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(tar, "w") as t:
        for file, content in (("config.json", config), ("layer.tar", data), ("manifest.json", manifest)):
            info = tarfile.TarInfo(file)
            info.size = len(content)
            t.addfile(info, io.BytesIO(content))


def run(socket, handler, name, folder):
    import grpc
    sys.path.insert(0, folder)
    import cri_pb2 as m

    channel = grpc.insecure_channel("unix://" + socket)
    service = m.DESCRIPTOR.services_by_name["RuntimeService"]

    def call(method, **fields):
        d = service.methods_by_name[method]
        kind = {x: getattr(m, x.name) for x in (d.input_type, d.output_type)}
        f = channel.unary_unary(f"/runtime.v1.RuntimeService/{method}", request_serializer=kind[d.input_type].SerializeToString,
                                response_deserializer=kind[d.output_type].FromString)
        return f(kind[d.input_type](**fields), timeout=60)

    def say(what, *result):
        print(f"{what}: {' '.join(str(x) for x in result)}", flush=True)

    def wait(container, state):
        for _ in range(200):
            s = call("ContainerStatus", container_id=container).status
            if s.state == state:
                return s
            time.sleep(0.1)
        return s

    def sh(container, script):
        r = call("ExecSync", container_id=container, cmd=["sh", "-c", script], timeout=30)
        return r.exit_code, r.stdout.decode().split(), r.stderr.decode().split()

    def log(file):
        path = os.path.join(folder, "logs", file)
        for _ in range(50):
            if os.path.exists(path) and os.path.getsize(path):
                break
            time.sleep(0.1)
        time.sleep(0.3)
        return [re.sub(r"^\S+ ", "", line) for line in open(path).read().splitlines()]

    serial = 0

    def pod(pid=m.NamespaceOption.CONTAINER, **more):
        nonlocal serial
        serial += 1
        options = m.NamespaceOption(pid=pid)
        config = m.PodSandboxConfig(metadata=m.PodSandboxMetadata(name=f"pod{serial}", uid=f"u{handler}{serial}", namespace="default"),
                                    hostname="the-pod", log_directory=os.path.join(folder, "logs"),
                                    linux=m.LinuxPodSandboxConfig(cgroup_parent="/moat-cri", **more,
                                                                  security_context=m.LinuxSandboxSecurityContext(namespace_options=options)))
        return call("RunPodSandbox", config=config, runtime_handler=handler).pod_sandbox_id, config, options

    def create(p, label, command, memory=0, **more):
        sandbox, config, options = p
        linux = m.LinuxContainerConfig(resources=m.LinuxContainerResources(memory_limit_in_bytes=memory),
                                       security_context=m.LinuxContainerSecurityContext(namespace_options=options, **more.pop("security", {})))
        return call("CreateContainer", pod_sandbox_id=sandbox, sandbox_config=config,
                    config=m.ContainerConfig(metadata=m.ContainerMetadata(name=label), image=m.ImageSpec(image=name), command=command,
                                             log_path=f"{handler}-{serial}-{label}.log", linux=linux, **more)).container_id

    def end(p, *containers):
        for c in containers:
            call("StopContainer", container_id=c, timeout=1)
            call("RemoveContainer", container_id=c)
        call("StopPodSandbox", pod_sandbox_id=p[0])
        call("RemovePodSandbox", pod_sandbox_id=p[0])

    say("version", call("Version").runtime_name)
    p = pod(sysctls={"net.ipv4.ip_unprivileged_port_start": "80"})
    st = call("PodSandboxStatus", pod_sandbox_id=p[0]).status
    say("the pod is ready and has an address", st.state, bool(re.fullmatch(r"10\.88\.\d+\.\d+", st.network.ip)))
    web = create(p, "web", ["sh", "-c", "echo hello; echo to stderr >&2; echo served >/tmp/index.html; exec httpd -f -p 8080 -h /tmp"],
                 memory=64 << 20, envs=[m.KeyValue(key="WHO", value="web")])
    job = create(p, "job", ["sh", "-c", "trap 'echo bye; exit 3' TERM; echo job; while :; do sleep 0.1; done"],
                 security={"run_as_user": m.Int64Value(value=1000)})
    say("both are created", *[call("ContainerStatus", container_id=c).status.state for c in (web, job)])
    for c in (web, job):
        call("StartContainer", container_id=c)
    say("both run", *[wait(c, 1).state for c in (web, job)])
    say("log", sorted(log(f"{handler}-1-web.log")))  # two streams: in no order
    say("exec", *sh(web, "echo $WHO; hostname; exit 4"))
    say("exec's streams", *sh(web, "echo a; echo b >&2"))
    say("user", *sh(job, "id -u"))
    say("the address inside", sh(web, "ip -o -4 addr show eth0 | awk '{print $4}' | cut -d/ -f1")[1] == [st.network.ip])
    say("one network for both", *sh(job, "wget -q -O - http://127.0.0.1:8080/index.html"))
    say("by the pod's address", *sh(job, f"wget -q -O - http://{st.network.ip}:8080/index.html"))
    say("sysctl", *sh(web, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"))
    say("a pid namespace each", *sh(job, "cat /proc/1/comm; cat /proc/[0-9]*/comm 2>/dev/null | grep -c httpd"))
    say("a root each", *sh(job, "ls /tmp/index.html"))
    stats = [call("ContainerStats", container_id=c).stats for c in (web, job)]
    say("stats", *[(s.cpu.usage_core_nano_seconds.value > 0, 0 < s.memory.working_set_bytes.value < 1 << 28) for s in stats])
    call("UpdateContainerResources", container_id=web, linux=m.LinuxContainerResources(memory_limit_in_bytes=96 << 20))
    say("update", *sh(web, "echo done"))
    say("exec of what is not there", *sh(web, "nosuch; echo $?")[:2])
    try:
        call("ExecSync", container_id=web, cmd=["nosuch"], timeout=5)
        say("exec of a missing program", "it ran")
    except grpc.RpcError as e:
        say("exec of a missing program", "executable file not found" in e.details())
    try:
        call("ExecSync", container_id=web, cmd=["sleep", "20"], timeout=1)
        say("exec's timeout", "it ended")
    except grpc.RpcError as e:
        say("exec's timeout", e.code().name)
    call("StopContainer", container_id=job, timeout=10)
    s = wait(job, 2)
    say("stop by TERM", s.state, s.exit_code, s.reason, log(f"{handler}-1-job.log"))
    say("the other goes on", call("ContainerStatus", container_id=web).status.state, *sh(web, "echo yes"))
    call("RemoveContainer", container_id=job)
    again = create(p, "again", ["sh", "-c", "exit 5"])
    call("StartContainer", container_id=again)
    s = wait(again, 2)
    say("one more, and its status", s.exit_code, s.reason)
    hog = create(p, "hog", ["sh", "-c", "x=0123456789abcdef; while :; do x=$x$x; done"], memory=32 << 20)
    call("StartContainer", container_id=hog)
    s = wait(hog, 2)
    say("one out of memory", s.exit_code, s.reason)
    say("the others go on", *sh(web, "echo yes"))
    missing = create(p, "missing", ["nosuch"])
    try:
        call("StartContainer", container_id=missing)
        say("a missing program", "it started")
    except grpc.RpcError as e:
        say("a missing program", "executable file not found" in e.details())
    call("StopContainer", container_id=web, timeout=0)
    say("stop at once", wait(web, 2).exit_code)
    end(p, web, again, hog, missing)

    p = pod(pid=m.NamespaceOption.POD)
    a, b = create(p, "a", ["sleep", "1000"]), create(p, "b", ["sleep", "2000"])
    for c in (a, b):
        call("StartContainer", container_id=c)
    say("one pid namespace", *sh(b, "ps -o args | grep -v -e ps -e grep -e awk | grep sleep | sort"))
    say("who is first in it", *sh(b, "cat /proc/1/cmdline | tr '\\0' ' '"))
    say("a signal across", *sh(b, "kill -9 $(pgrep -f 'sleep 1000')"), wait(a, 2).exit_code)
    say("the other one", wait(b, 1).state)
    target = create((p[0], p[1], m.NamespaceOption(pid=m.NamespaceOption.TARGET, target_id=b)), "debug", ["sleep", "3000"])
    call("StartContainer", container_id=target)
    say("a debugger's container", *sh(target, "pgrep -f 'sleep 2000' >/dev/null; echo $?"))
    end(p, a, b, target)
    say("nothing is left", len(call("ListContainers").containers), len(call("ListPodSandbox").items))


globals()[sys.argv[1]](*sys.argv[2:])
