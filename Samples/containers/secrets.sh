#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Makes what the containers keep secret.
#
#   secrets.sh FOLDER
#
#   FOLDER/tls    site.pem, a certificate for localhost with its key, and certificate.pem alone     HAProxy
#   FOLDER/app    redis_password                                                        the instances
#   FOLDER/redis  users.acl, redis.conf, sentinel.conf                                   Redis and the sentinels
#
# Passwords are made once. Everything else is made again at each start, so that users.acl follows its template; the certificate
# when it is about to expire. The images' users differ: the files can be read by each, and a container gets only what it needs.
set -eu
folder=${1:?"usage: secrets.sh FOLDER"}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$folder/tls" "$folder/app" "$folder/redis"
umask 022

certificate=$folder/tls/certificate.pem
if ! openssl x509 -checkend 604800 -noout -in "$certificate" >/dev/null 2>&1; then
    key=$(openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256)
    echo "$key" | openssl req -x509 -key /dev/stdin -days 30 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -out "$certificate"
    { cat "$certificate" && echo "$key"; } >"$folder/tls/site.pem"
fi

# secret FILE: makes a password where there is none.
secret() { [ -s "$1" ] || openssl rand -hex 32 >"$1"; }
# hash FILE: what stands for a password in an ACL file.
hash() { tr -d '\n' <"$1" | sha256sum | cut -d ' ' -f 1; }

secret "$folder/app/redis_password"
secret "$folder/redis/server_password"
server=$(cat "$folder/redis/server_password")

sed -e '/^#/d' -e "s/SHOP_HASH/$(hash "$folder/app/redis_password")/" \
    -e "s/SERVER_HASH/$(hash "$folder/redis/server_password")/" "$here/users.acl" >"$folder/redis/users.acl"

# A restart loses a second; a session is not evicted for another one.
cat >"$folder/redis/redis.conf" <<END
port 6379
save ""
appendonly yes
appendfsync everysec
maxmemory 128mb
maxmemory-policy noeviction
aclfile /run/secrets/redis/users.acl
masteruser replica
masterauth $server
END

# Sentinels rewrite their file, and so start with a copy.
cat >"$folder/redis/sentinel.conf" <<END
port 26379
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel monitor main redis 6379 2
sentinel down-after-milliseconds main 3000
sentinel failover-timeout main 10000
sentinel auth-user main sentinel
sentinel auth-pass main $server
END
