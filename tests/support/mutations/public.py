"""What breaks the public address: settings of the proxy before the services."""

import ssl

# What to set wrong, by the requirement that has to fail for it.
BROKEN = {
    "public-redirect": {"redirects": False},
    "public-404": {"refuses": False},
    "public-tls": {"oldest": ssl.TLSVersion.TLSv1},
    "public-pages": {"trusted": False},
}
