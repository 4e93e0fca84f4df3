import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import org.codelibs.opensearch.runner.OpenSearchRunner;

/**
 * Starts one node of a search cluster inside this process and stays until it is asked to stop.
 *
 * <p>The only argument is a properties file with: cluster, name, http, transport, data, home, repo,
 * seeds, roles and founders (lists with commas; no founders: the cluster is there already), and
 * founders.key and remote.key, the settings' names in this version. The ports were picked by whoever
 * wrote the file.
 */
public final class LabNode {
    private LabNode() {}

    public static void main(String[] arguments) throws Exception {
        Properties lab = new Properties();
        try (var in = Files.newInputStream(Path.of(arguments[0]))) {
            lab.load(in);
        }
        OpenSearchRunner runner = new OpenSearchRunner();
        runner.onBuild((number, settings) -> {
            settings.put("node.name", lab.getProperty("name"));
            settings.put("network.host", "127.0.0.1");
            settings.put("http.port", lab.getProperty("http"));
            settings.put("transport.port", lab.getProperty("transport"));
            // The runner would choose seeds and managers for a cluster of its own making.
            settings.put("discovery.type", "zen");
            settings.putList("discovery.seed_hosts", lab.getProperty("seeds").split(","));
            String founders = lab.getProperty("founders");
            if (!founders.isEmpty()) {
                settings.putList(lab.getProperty("founders.key"), founders.split(","));
            }
            settings.putList("node.roles", lab.getProperty("roles").split(","));
            settings.put("path.data", lab.getProperty("data"));
            settings.putList("path.repo", lab.getProperty("repo"));
            settings.putList(lab.getProperty("remote.key"), "127.0.0.1:*");
            // A developer's disk is often fuller than the watermarks allow.
            settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
        }).build(OpenSearchRunner.newConfigs()
                .numOfNode(1)
                .clusterName(lab.getProperty("cluster"))
                .basePath(lab.getProperty("home"))
                .useLogger());
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                runner.close();
            } catch (Exception e) {
                e.printStackTrace();
            }
        }));
        Thread.currentThread().join();
    }
}
