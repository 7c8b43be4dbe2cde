"""HTTP to the services of this cluster."""

import ssl

import requests


def cluster_session() -> requests.Session:
    """Return a session that never uses a proxy, whatever HTTP_PROXY and similar variables say.

    A proxy does not know the cluster's names and addresses, and would see the logins. What the session raises
    is a requests.RequestException, which is an OSError.
    """
    session = requests.Session()
    # It then also ignores ~/.netrc and REQUESTS_CA_BUNDLE.
    session.trust_env = False
    # Trusts the certificates that Python's own clients trust, those of SSL_CERT_FILE among them. By default,
    # requests trusts certifi's list alone.
    trusted = ssl.get_default_verify_paths()
    session.verify = trusted.cafile or trusted.capath or True
    # By default, requests lets a server compress its answer, which costs Triton and Prometheus CPU.
    session.headers["Accept-Encoding"] = "identity"
    return session
