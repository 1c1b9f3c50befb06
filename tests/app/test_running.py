"""The example as it runs: images built, ten containers up, and what happens to them when they are killed."""

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests

pytestmark = pytest.mark.docker

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = REPOSITORY / "examples" / "tickets"
SECRETS = ("SECRET_KEY", "POSTGRES_PASSWORD", "RABBITMQ_PASSWORD")
SERVICES = (
    "postgres",
    "rabbitmq",
    "auth-service",
    "ticket-service",
    "workflow-api",
    "messaging-service",
    "notification-service",
    "workflow-worker",
    "notification-worker",
    "nginx",
)
# Its own names and a free port on loopback: it runs beside a developer's application.
OVERRIDE = "services:\n" + "".join(f"  {name}: {{container_name: !reset null}}\n" for name in SERVICES[:-1])
OVERRIDE += '  nginx: {container_name: !reset null, ports: !override ["127.0.0.1::80"]}\n'


def run(*command: str | Path, **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def eventually(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what}")


@dataclass
class Application:
    """One running copy of the example."""

    project: str
    override: Path
    secrets: dict[str, str] = field(
        default_factory=lambda: {
            # Characters that shells, URLs and SQL would trip over.
            name: f"{secrets.token_urlsafe(16)}'\"/@:%?"
            for name in SECRETS
        }
    )

    def compose(self, *arguments: str) -> str:
        program = shutil.which("docker-compose", path=f"{REPOSITORY / '.local' / 'bin'}:{os.environ['PATH']}")
        assert program, "docker-compose is missing: `make bootstrap` builds it"
        files = ("-f", EXAMPLE / "compose.yaml", "-f", self.override)
        return run(program, "-p", self.project, *files, *arguments, env=self.environment())

    def environment(self) -> dict[str, str]:
        """Return this process's environment, with these secrets and no others."""
        return {name: value for name, value in os.environ.items() if name not in SECRETS} | self.secrets

    def container(self, service: str) -> str:
        return self.compose("ps", "--all", "--quiet", service).strip()

    def up(self) -> None:
        self.compose("up", "--detach", "--wait", "--wait-timeout", "180")

    def everywhere(self, *command: str) -> dict[str, Any]:
        environment = os.environ | {"COMPOSE_PROJECT_NAME": self.project}
        return json.loads(run(EXAMPLE / "everywhere", *command, env=environment))

    @property
    def url(self) -> str:
        return f"http://{self.compose('port', 'nginx', '80').strip()}"

    def states(self) -> dict[str, tuple[str, str]]:
        rows = map(json.loads, self.compose("ps", "--all", "--format", "json").splitlines())
        return {row["Service"]: (row["State"], row["Health"]) for row in rows}


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    run(EXAMPLE / "images" / "build")
    override = tmp_path_factory.mktemp("compose") / "override.yaml"
    override.write_text(OVERRIDE)
    found = Application(f"tickets-{secrets.token_hex(4)}", override)
    try:
        found.up()
        found.everywhere("seed", "--tickets", "60", "--seed", "11")
        yield found
    finally:
        found.compose("down", "--volumes", "--timeout", "10")


def make_ticket(url: str, title: str, **options: Any) -> requests.Response:
    return requests.post(f"{url}/api/tickets/", data={"title": title}, timeout=30, **options)


def test_up_and_wait_leaves_ten_healthy_services_and_nothing_else(application: Application) -> None:
    states = application.states()
    assert states.keys() == set(SERVICES)
    assert set(states.values()) == {("running", "healthy")}
    system = requests.get(f"{application.url}/health/", timeout=30).json()
    assert (system["healthy"], len(system["services"])) == (True, 5)
    for name in ("auth", "ticket", "workflow", "messaging", "notification", "nginx"):
        assert requests.get(f"{application.url}/health/{name}/", timeout=30).ok


def test_the_front_page_and_what_it_loads_is_served(application: Application) -> None:
    page = requests.get(f"{application.url}/", timeout=30)
    assert "<title>Tickets</title>" in page.text
    for name, kind in (("page.js", "javascript"), ("style.css", "css"), ("icon.svg", "svg")):
        assert kind in requests.get(f"{application.url}/{name}", timeout=30).headers["Content-Type"]


def test_a_ticket_reaches_the_databases_of_workflow_and_notification(application: Application) -> None:
    content = secrets.token_bytes(1_500_000)  # larger than what nginx and Django keep in memory
    ticket = make_ticket(application.url, "größer", files={"attachment": ("a.bin", content)}).json()
    sent = requests.get(application.url + ticket["attachments"][0]["url"], timeout=30)
    assert sent.content == content
    for kind in ("workflows", "notifications"):
        url = f"{application.url}/api/{kind}/{ticket['id']}/"
        eventually(lambda url=url: "größer" in str(requests.get(url, timeout=30).json()), f"{kind} knows the ticket")


def test_a_token_of_the_auth_service_is_known_to_the_ticket_service(application: Application) -> None:
    login = {"username": f"user-{secrets.token_hex(4)}", "password": secrets.token_urlsafe()}
    assert requests.post(f"{application.url}/api/auth/users/", data=login, timeout=30).status_code == 201
    token = requests.post(f"{application.url}/api/auth/tokens/", data=login, timeout=30).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert make_ticket(application.url, "mine", headers=headers).json()["requester"] == login["username"]
    assert make_ticket(application.url, "x", headers={"Authorization": "Bearer x"}).status_code == 401


def test_a_service_cannot_open_the_database_of_another(application: Application) -> None:
    program = (
        "import psycopg\n"
        "from django.db import connection\n"
        "parameters = connection.get_connection_params() | {'dbname': 'auth_db'}\n"
        "parameters = {k: v for k, v in parameters.items() if k in ('dbname', 'user', 'password', 'host', 'port')}\n"
        "try:\n    psycopg.connect(**parameters)\nexcept psycopg.OperationalError as e:\n    print(e)\n"
    )
    answer = application.compose("exec", "-T", "messaging-service", "python", "manage.py", "shell", "-c", program)
    assert "permission denied for database" in answer


def test_a_ticket_made_while_the_broker_is_down_is_worked_on_later(application: Application) -> None:
    application.compose("stop", "rabbitmq")
    answer = make_ticket(application.url, "during the outage")
    assert answer.status_code == 201
    assert requests.get(f"{application.url}/health/ticket/", timeout=30).status_code == 503
    application.compose("start", "rabbitmq")
    url = f"{application.url}/api/workflows/{answer.json()['id']}/"
    eventually(lambda: requests.get(url, timeout=30).ok, "the workflow began", 90)


def test_every_ticket_that_was_acknowledged_survives_the_killing_of_the_database(application: Application) -> None:
    url, acknowledged, stop = application.url, [], Event()

    def write() -> None:
        while not stop.is_set():
            answer = make_ticket(url, "written", files={"attachment": ("a", b"content")})
            if answer.status_code == 201:
                acknowledged.append(answer.json())

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write) for _ in range(2)]
        try:
            eventually(lambda: len(acknowledged) > 10, "tickets are written")
            run("docker", "kill", "--signal", "KILL", application.container("postgres"))
            run("docker", "start", application.container("postgres"))
            before = len(acknowledged)
            eventually(lambda: len(acknowledged) > before + 10, "tickets are written again", 90)
        finally:
            stop.set()
    for writer in writers:
        writer.result()
    for ticket in acknowledged:
        found = requests.get(f"{url}/api/tickets/{ticket['id']}/", timeout=30)
        assert found.json()["attachments"] == ticket["attachments"]


def test_nothing_changes_when_everything_is_killed_and_started_again(application: Application) -> None:
    def settled() -> bool:
        program = "from ticketing.models import Event; print(Event.objects.filter(sent_at=None).count())"
        shell = ("python", "manage.py", "shell", "--verbosity", "0", "-c", program)
        return application.compose("exec", "-T", "ticket-service", *shell).strip() == "0"

    eventually(settled, "all events are with the broker")
    quiet = ("workflow-worker", "notification-worker")
    application.compose("stop", *quiet)
    before = application.everywhere("fingerprint")
    assert before["ticket-service"]["files"]["count"] > 60
    assert before["workflow-api"]["tables"]["workflow_run"] >= 60
    application.compose("kill", "--signal", "SIGKILL")
    application.compose("up", "--detach", "--wait", "--wait-timeout", "180", "nginx")
    assert application.everywhere("fingerprint") == before
    application.up()


def test_no_secret_is_in_a_log_or_a_process_list(application: Application) -> None:
    seen = application.compose("logs", "--no-color")
    for service in application.states():
        seen += run("docker", "top", application.container(service), "-eo", "pid,args")
    assert "postgres" in seen
    for name, value in application.secrets.items():
        assert value not in seen, name
        assert value.split("'", maxsplit=1)[0] not in seen, name


def test_a_missing_secret_is_named(application: Application) -> None:
    lacking = Application(application.project, application.override, {"SECRET_KEY": "x", "POSTGRES_PASSWORD": "y"})
    with pytest.raises(AssertionError, match="set RABBITMQ_PASSWORD"):
        lacking.compose("config", "--quiet")


@dataclass
class Server:
    """PostgreSQL alone, on a volume of its own."""

    volume: str
    containers: list[str] = field(default_factory=list)

    def start(self) -> str:
        secret = ("-e", "SECRET_KEY=x", "-e", "POSTGRES_PASSWORD=y")
        mount = ("-v", f"{self.volume}:/var/lib/postgresql")
        self.containers.append(run("docker", "run", "-d", *secret, *mount, "tickets/postgres:15").strip())
        return self.containers[-1]

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        exec_ = ["docker", "exec", self.containers[-1], *command]
        return subprocess.run(exec_, capture_output=True, text=True, check=False)

    def ready(self) -> bool:
        return self.execute("pg_isready", "-q", "-h", "127.0.0.1").returncode == 0

    def databases(self) -> set[str]:
        query = "SELECT datname FROM pg_database WHERE datname LIKE '%_db'"
        return set(self.execute("psql", "-U", "postgres", "-Atc", query).stdout.split())


@pytest.fixture
def server(application: Application) -> Iterator[Server]:  # the images are built by then
    found = Server(f"{application.project}-server")
    try:
        yield found
    finally:
        for container in found.containers:
            run("docker", "rm", "--force", container)
        run("docker", "volume", "rm", found.volume)


def test_a_first_start_that_was_killed_begins_again(server: Server) -> None:
    for stage in ("/var/lib/postgresql/15/data.new", "/var/lib/postgresql/15/data.new/postmaster.pid"):
        server.start()
        eventually(lambda stage=stage: server.execute("test", "-e", stage).returncode == 0, stage)
        run("docker", "kill", server.containers[-1])
    server.start()
    eventually(server.ready, "the server is ready")
    assert server.databases() == {"auth_db", "ticket_db", "workflow_db", "messaging_db", "notification_db"}


def test_a_lost_database_is_not_replaced_by_an_empty_one(server: Server) -> None:
    server.start()
    eventually(server.ready, "the server is ready")
    assert server.execute("psql", "-U", "postgres", "-c", "DROP DATABASE ticket_db").returncode == 0
    run("docker", "restart", server.containers[-1])
    eventually(server.ready, "the server is ready again")
    assert server.databases() == {"auth_db", "workflow_db", "messaging_db", "notification_db"}


def test_a_stop_does_not_wait_for_clients(server: Server) -> None:
    container = server.start()
    for signal in ("TERM", "INT"):
        eventually(server.ready, "the server is ready")
        run("docker", "exec", "-d", container, "psql", "-U", "postgres", "-c", "SELECT pg_sleep(600)")
        run("docker", "kill", "--signal", signal, container)
        assert run("docker", "wait", container, timeout=30).strip() == "0"
        run("docker", "start", container)


def test_two_servers_never_share_a_volume(server: Server) -> None:
    first = server.start()
    eventually(server.ready, "the server is ready")
    second = server.start()
    eventually(lambda: "flock" in run("docker", "top", second, "-eo", "pid,args"), "the second one waits")
    assert not server.ready()
    run("docker", "kill", first)
    eventually(server.ready, "the second one took over")
