#!/bin/sh
# What every script here takes for granted, said once: options off that a script does not mean, a congestion controller
# that is in every kernel, no tail probes, buffers that give a window scale of 7. Further settings are its arguments.
set -e
sysctl -q -w net.ipv4.tcp_timestamps=0 net.ipv4.tcp_sack=1 net.ipv4.tcp_window_scaling=1 net.ipv4.tcp_ecn=0 \
    net.ipv4.tcp_congestion_control=reno net.ipv4.tcp_early_retrans=0 net.ipv4.tcp_recovery=0 \
    net.ipv4.tcp_no_metrics_save=1 net.ipv4.tcp_fastopen=0 net.ipv4.tcp_syn_linear_timeouts=0 \
    "net.ipv4.tcp_rmem=4096 131072 6291456" "net.ipv4.tcp_wmem=4096 262144 4194304"
for setting in "$@"; do
    sysctl -q -w "$setting"
done
