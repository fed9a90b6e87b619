"""The cluster's ingress controller: Traefik, installed as on any cluster, through the ordinary API.

    traefik.yaml    what is installed: Namespace, ServiceAccount, rights, Service, GatewayClass, Deployment
    gateway_api.py  the Gateway API's kinds as CustomResourceDefinitions
    install.py      install, uninstall, and how it stands: `kit ingress …`
    addon.py        an embedded cluster's control loop that installs it when the first Ingress wants it

A cluster in which nobody makes an Ingress has one more object, the IngressClass, and no more processes.  `--bare` has
neither class nor loop; `kit ingress install` works there, too, and on a foreign cluster, with Traefik's own image.
"""
