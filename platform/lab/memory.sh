# Huge pages for the lab, sourced by run.sh: taken where it can be done, given back at the end.

memory_meminfo() { # FIELD
    sed -n "s/^$1: *\([0-9]*\).*/\1/p" /proc/meminfo
}

memory_is_mounted() {
    grep -q '^[^ ]* /dev/hugepages hugetlbfs ' /proc/mounts
}

# memory_take MB: prints "true", or "false" for ordinary memory.
memory_take() {
    page_kb=$(memory_meminfo Hugepagesize)
    pages_path=/proc/sys/vm/nr_hugepages
    if [ -z "$page_kb" ] || [ ! -w $pages_path ]; then
        echo false
        return
    fi
    if ! memory_is_mounted; then
        mkdir -p /dev/hugepages
        mount -t hugetlbfs hugetlbfs /dev/hugepages 2>/dev/null && : >$run/huge-mounted
    fi
    before=$(cat $pages_path)
    want=$((($1 * 1024 + page_kb - 1) / page_kb))
    missing=$((want - $(memory_meminfo HugePages_Free)))
    [ $missing -le 0 ] || echo $((before + missing)) >$pages_path 2>/dev/null || true
    echo $(($(cat $pages_path) - before)) >$run/huge-added
    if memory_is_mounted && [ "$(memory_meminfo HugePages_Free)" -ge $want ]; then
        echo true
    else
        memory_give_back
        echo false
    fi
}

memory_give_back() {
    added=$(cat $run/huge-added 2>/dev/null || echo 0)
    if [ "$added" -gt 0 ]; then
        echo $(($(cat /proc/sys/vm/nr_hugepages) - added)) >/proc/sys/vm/nr_hugepages || true
    fi
    [ ! -f $run/huge-mounted ] || umount /dev/hugepages 2>/dev/null || true
    rm -f $run/huge-added $run/huge-mounted
}
